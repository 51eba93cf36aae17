// Which slot (receive SSRC) carries whose source: `store.slots` and `store.sources` (12.1, 4).

/**
 * @typedef {import('../store.js').Store} Store
 * @typedef {import('../store.js').Source} Source
 *
 * An entry of AudioSourcesMap or VideoSourcesMap.
 * @typedef {object} Mapped
 * @property {string} source
 * @property {string} owner
 * @property {number} ssrc
 * @property {number | null} rtx
 * @property {'camera' | 'desktop'} videoType
 */

/**
 * Reads `mappedSources` of a bridge message; what is not an entry is left out.
 * @param {unknown} list
 * @returns {Mapped[]}
 */
export function readMap(list) {
  if (!Array.isArray(list)) return [];
  /** @param {unknown} n */
  const isSsrc = (n) => Number.isInteger(n) && Number(n) > 0 && Number(n) <= 0xffffffff;
  return list
    .filter((m) => m && typeof m.source === 'string' && typeof m.owner === 'string' && isSsrc(m.ssrc))
    .map((m) => ({
      source: m.source,
      owner: m.owner,
      ssrc: m.ssrc,
      rtx: isSsrc(m.rtx) ? m.rtx : null,
      videoType: String(m.videoType).toUpperCase().startsWith('DESKTOP') ? 'desktop' : 'camera',
    }));
}

export class Slots {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
  }

  /**
   * Applies a message as a whole: first every named slot loses its old source, then takes the new
   * one. Slots that are not named stay.
   * @param {'audio' | 'video'} kind
   * @param {Mapped[]} mapped
   */
  apply(kind, mapped) {
    const { slots } = this.store.state;
    const touched = new Set();
    for (const { ssrc } of mapped) {
      const old = slots.get(ssrc)?.source;
      if (old) { this.detach(old); touched.add(old); }
      if (!slots.has(ssrc)) slots.set(ssrc, { ssrc, kind, track: null, source: null });
    }
    for (const entry of mapped) {
      const source = this.source(entry.source, entry.owner, kind, entry.videoType);
      if (source.ssrc !== null) this.detach(source.name);
      const slot = slots.get(entry.ssrc);
      if (!slot) continue;
      slot.source = source.name;
      Object.assign(source, { ssrc: slot.ssrc, track: slot.track });
      if (kind === 'video') source.videoType = entry.videoType;
      touched.add(source.name);
    }
    for (const name of touched) this.store.emit('sources', name);
  }

  /** The browser has made the track of a slot. @param {number} ssrc @param {MediaStreamTrack} track */
  setTrack(ssrc, track) {
    const slot = this.store.state.slots.get(ssrc);
    if (!slot) return;
    slot.track = track;
    const source = slot.source === null ? undefined : this.store.state.sources.get(slot.source);
    if (source) source.track = track;
    this.store.emit('slots', ssrc);
    if (source) this.store.emit('sources', source.name);
  }

  /** A slot is gone (server without rewriting). @param {number} ssrc */
  remove(ssrc) {
    const slot = this.store.state.slots.get(ssrc);
    if (!slot) return;
    if (slot.source) { this.detach(slot.source); this.store.emit('sources', slot.source); }
    this.store.state.slots.delete(ssrc);
    this.store.emit('slots', ssrc);
  }

  /** The session ended: no slot is left, the sources stay with their faces. */
  clear() {
    for (const ssrc of [...this.store.state.slots.keys()]) this.remove(ssrc);
  }

  /**
   * Takes what presence says about a person's sources.
   * @param {string} owner
   * @param {Map<string, import('../net/muc.js').SourceInfo>} infos
   */
  presence(owner, infos) {
    const { sources } = this.store.state;
    for (const [name, { muted, videoType }] of infos) {
      const kind = /-v\d+$/.test(name) ? 'video' : 'audio';
      const source = this.source(name, owner, kind, videoType);
      if (source.muted && !muted) source.since = Date.now();
      Object.assign(source, { muted, videoType });
      this.store.emit('sources', name);
    }
    for (const source of [...sources.values()]) {
      if (source.owner === owner && !infos.has(source.name)) this.forget(source);
    }
  }

  /** @param {string} owner who left */
  leave(owner) {
    for (const source of [...this.store.state.sources.values()]) {
      if (source.owner === owner) this.forget(source);
    }
  }

  /** @param {Set<string>} names of ForwardedSources */
  forwarded(names) {
    for (const source of this.store.state.sources.values()) {
      const now = names.has(source.name);
      if (source.kind !== 'video' || source.forwarded === now) continue;
      source.forwarded = now;
      this.store.emit('sources', source.name);
    }
  }

  /** @param {Source} source */
  forget(source) {
    this.detach(source.name);
    this.store.state.sources.delete(source.name);
    this.store.emit('sources', source.name);
  }

  /** Takes a source off its slot. @param {string} name */
  detach(name) {
    const source = this.store.state.sources.get(name);
    if (!source) return;
    const slot = source.ssrc === null ? undefined : this.store.state.slots.get(source.ssrc);
    if (slot?.source === name) slot.source = null;
    Object.assign(source, { ssrc: null, track: null });
  }

  /**
   * @param {string} name @param {string} owner @param {'audio' | 'video'} kind
   * @param {'camera' | 'desktop'} videoType
   * @returns {Source}
   */
  source(name, owner, kind, videoType) {
    const known = this.store.state.sources.get(name);
    if (known) return known;
    /** @type {Source} */
    const made = {
      name, owner, kind, videoType, muted: false, ssrc: null, track: null, forwarded: true,
      since: Date.now(),
    };
    this.store.state.sources.set(name, made);
    return made;
  }
}
