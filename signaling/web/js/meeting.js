// One stay in a room: signs in, enters, answers the focus' sessions, and writes the store.
// It ends when it is left or lost; coming back is a new one (app.js).
import { BridgeChannel, STATS_EVERY, endpointStats } from './net/bridge.js';
import { requestConference } from './net/focus.js';
import { readOffer, readReason, readSources, sessionAccept, sessionTerminate, sourceChange } from './net/jingle.js';
import { Room, resourceOf } from './net/muc.js';
import { NS, attr } from './net/xml.js';
import { StanzaError, Xmpp, capabilities } from './net/xmpp.js';
import { MediaSession } from './media/pc.js';
import { Slots, readMap } from './media/slots.js';
import { StageSpeaker } from './media/speaker.js';

/**
 * @typedef {import('./config.js').Config} Config
 * @typedef {import('./store.js').Store} Store
 * @typedef {import('./net/jingle.js').Source} Source
 *
 * @typedef {object} MeetingEvents
 * @property {(why: string) => void} lost     the server or, for good, the media; once
 * @property {(how: { kind: 'kicked' | 'destroyed', by: string, reason: string }) => void} removed
 * @property {(what: 'audio' | 'video' | 'desktop', by: string) => void} muted  by a moderator
 */

const MEDIA_ATTEMPTS = 3;
const CONSTRAINTS_DELAY = 200;

/** The first eight digits of an anonymous user's node, else as many random ones. @param {string} jid */
export function nickOf(jid) {
  const head = jid.slice(0, 8);
  return /^[0-9a-f]{8}$/.test(head) ? head : crypto.randomUUID().slice(0, 8);
}

/** The name of a person, for messages that outlive them. @param {Store} store @param {string} id */
export const nameOf = (store, id) => (id === store.state.self.id
  ? store.state.self.name : store.state.people.get(id)?.name ?? '');

export class Meeting {
  /**
   * @param {Config} config @param {string} node of the room @param {Store} store
   * @param {MeetingEvents} events
   */
  constructor(config, node, store, events) {
    this.config = config;
    this.roomJid = `${node}@${config.muc}`;
    this.store = store;
    this.events = events;
    this.xmpp = new Xmpp(config);
    this.slots = new Slots(store);
    this.stage = new StageSpeaker();
    /** @type {Room | null} */
    this.room = null;
    /** @type {MediaSession | null} */
    this.session = null;
    /** Whether the focus has accepted our answer. */
    this.accepted = false;
    /** @type {BridgeChannel | null} */
    this.channel = null;
    /** @type {(() => void)[]} what has to wait for the session */
    this.waiting = [];
    this.failures = 0;
    /** @type {Set<'audio' | 'video' | 'desktop'>} what a moderator has switched off */
    this.silenced = new Set();
    this.statsSentAt = Date.now();
    this.ended = false;
    /** @type {number | null} bit/s towards us, as the bridge says */
    this.estimate = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.constraintTimer = undefined;
  }

  /** Enters; rejects with the `StanzaError` of the room or focus. @param {string} password @param {string} machine */
  async join(password, machine) {
    const { xmpp, config } = this;
    xmpp.onlost = (why) => this.end(() => this.events.lost(why));
    try {
      await xmpp.connect();
      const caps = await capabilities();
      const { focusJid } = await requestConference(xmpp,
        { focus: config.focus, room: this.roomJid, machine, token: config.token });
      const nick = nickOf(xmpp.jid);
      const room = new Room(xmpp, { jid: this.roomJid, nick, focusJid, caps }, this.roomEvents());
      this.room = room;
      this.store.set('self', { id: nick });
      xmpp.handle(NS.jingle, 'jingle', (jingle, iq) => this.receiveJingle(jingle, iq));
      for (const what of /** @type {const} */ (['audio', 'video', 'desktop'])) {
        xmpp.handle(`${NS.jitmeet}/${what}`, 'mute', (mute, iq) => this.receiveMute(what, mute, iq));
      }
      await room.join(this.ownPresence(), password);
    } catch (e) {
      this.end(() => {});
      throw e;
    }
    this.dropStale();
    void this.readRoom();
  }

  leave() {
    this.room?.leave();
    this.end(() => {});
  }

  /** @param {() => void} tell */
  end(tell) {
    if (this.ended) return;
    this.ended = true;
    this.closeSession();
    this.room?.abandon();
    this.xmpp.close();
    tell();
  }

  // ---------- own presence and tracks

  ownPresence() {
    const { self } = this.store.state;
    /** @type {Record<string, { muted: boolean, videoType?: string }>} */
    const sources = {
      [`${self.id}-a0`]: { muted: !self.mic.on || !self.mic.track },
      [`${self.id}-v0`]: { muted: !self.camera.on || !self.camera.track },
    };
    if (self.screen.track || this.session?.screenLine) {
      sources[`${self.id}-v1`] = { muted: !self.screen.on, videoType: 'desktop' };
    }
    return { name: self.name, hand: self.hand, sources };
  }

  /** Tells the room what has changed of oneself. */
  publish() {
    this.room?.update(this.ownPresence());
    const { id, mic, camera, screen } = this.store.state.self;
    for (const [what, on] of /** @type {const} */ ([['audio', mic.on], ['video', camera.on], ['desktop', screen.on]])) {
      // the focus lets it through again only when it is told
      if (on && this.silenced.delete(what)) this.room?.mute(id, what, false).catch(() => {});
    }
    if (!this.accepted) return; // the bridge does not know the sources yet
    this.channel?.videoType(`${id}-v0`, camera.on && camera.track ? 'camera' : 'none');
    if (this.session?.screenLine) this.channel?.videoType(`${id}-v1`, screen.on ? 'desktop' : 'none');
  }

  async sendTracks() {
    const { mic, camera } = this.store.state.self;
    if (!this.accepted) return; // start() takes them
    await this.session?.setAudio(mic.track);
    await this.session?.setCamera(camera.on ? camera.track : null);
  }

  async sendScreen() {
    const { session, room } = this;
    const { track } = this.store.state.self.screen;
    if (!session || !room || !this.accepted) return; // the session takes it when it begins
    if (!track) {
      await session.stopScreen();
      return;
    }
    const source = await session.startScreen(track);
    if (!source) return;
    await this.xmpp.request({ to: room.focus, type: 'set' },
      sourceChange(session.offer, 'source-add', [source]));
  }

  // ---------- pictures that are wanted

  /** @param {Map<string, number>} heights by source name @param {string[]} onStage */
  want(heights, onStage) {
    Object.assign(this.store.state, { wanted: heights, onStage });
    clearTimeout(this.constraintTimer);
    this.constraintTimer = setTimeout(() => this.constrain(), CONSTRAINTS_DELAY);
  }

  constrain() {
    const { wanted, onStage } = this.store.state;
    this.channel?.constrain({ heights: wanted, onStage });
  }

  // ---------- the room

  /** @returns {import('./net/muc.js').RoomEvents} */
  roomEvents() {
    return {
      occupant: (who) => this.receiveOccupant(who),
      gone: (id, kickedBy) => this.receiveGone(id, kickedBy),
      removed: (how) => {
        const by = nameOf(this.store, how.by);
        this.end(() => this.events.removed({ ...how, by }));
      },
      message: (m) => this.receiveMessage(m),
      messageFailed: (id) => this.markMessage(id, 'failed'),
      configChanged: () => { void this.readRoom(); },
      bridge: (bridge) => this.store.set('connection', { bridge }),
      focusGone: () => this.end(() => this.events.lost('focus left')),
    };
  }

  async readRoom() {
    const info = await this.room?.info().catch(() => null);
    if (info) this.store.set('room', { locked: info.locked });
  }

  /** @param {import('./net/muc.js').Occupant} who */
  receiveOccupant({ id, name, isModerator, hand, sources }) {
    const { store } = this;
    if (id === this.room?.nick) {
      const became = isModerator && !store.state.self.isModerator && this.room.joined;
      store.set('self', { isModerator });
      if (became) store.notify({ kind: 'moderator' });
      return;
    }
    const audio = [...sources].filter(([n]) => /-a\d+$/.test(n));
    const camera = [...sources].filter(([n, s]) => /-v\d+$/.test(n) && s.videoType === 'camera');
    const known = store.state.people.get(id);
    const person = known ?? {
      id, level: 0, speaking: false, spokeAt: 0, interrupted: false, bars: 4, hand: null,
    };
    const raised = hand !== null && known && known.hand === null;
    store.state.people.set(id, Object.assign(person, {
      name,
      isModerator,
      hand,
      audioMuted: audio.every(([, s]) => s.muted),
      videoMuted: camera.every(([, s]) => s.muted),
    }));
    this.slots.presence(id, sources);
    store.emit('people', id);
    if (raised) store.notify({ kind: 'hand', id, name });
    if (!known && this.room?.joined) store.notify({ kind: 'joined', id, name });
  }

  /** @param {string} id @param {string | null} kickedBy */
  receiveGone(id, kickedBy) {
    const { store } = this;
    const name = nameOf(store, id);
    if (!store.state.people.delete(id)) return;
    this.slots.leave(id);
    this.stage.gone(id);
    store.emit('people', id);
    if (kickedBy) store.notify({ kind: 'kicked', name, by: nameOf(store, kickedBy) });
    else store.notify({ kind: 'left', id, name });
  }

  /** After coming back: who is no longer in the room goes. */
  dropStale() {
    this.slots.clear();
    for (const id of [...this.store.state.people.keys()]) {
      if (this.room?.present.has(id)) continue;
      this.store.state.people.delete(id);
      this.slots.leave(id);
      this.store.emit('people', id);
    }
  }

  /** @param {import('./net/muc.js').ChatMessage} m */
  receiveMessage({ id, from, text, at }) {
    const { chat, self } = this.store.state;
    const own = from === self.id;
    if (own && chat.messages.some((m) => m.id === id)) { this.markMessage(id, 'sent'); return; }
    const name = nameOf(this.store, from);
    chat.messages.push({ id, from, name, text, at, own, state: 'sent' });
    this.store.set('chat', { unread: chat.unread + (own || chat.open ? 0 : 1) });
  }

  /** @param {string} id @param {'sent' | 'failed'} state */
  markMessage(id, state) {
    const message = this.store.state.chat.messages.find((m) => m.id === id && m.own);
    if (!message || message.state === 'sent') return;
    message.state = state;
    this.store.emit('chat');
  }

  /**
   * @param {'audio' | 'video' | 'desktop'} what @param {Element} mute @param {Element} iq
   * @returns {null}
   */
  receiveMute(what, mute, iq) {
    this.mustBeFocus(iq);
    if (mute.textContent?.trim() === 'true') {
      this.silenced.add(what);
      this.events.muted(what, nameOf(this.store, resourceOf(attr(mute, 'actor'))));
    }
    return null;
  }

  /** @param {Element} iq */
  mustBeFocus(iq) {
    if (!this.room?.hasFocus || attr(iq, 'from') !== this.room.focus) {
      throw new StanzaError('not-allowed');
    }
  }

  // ---------- sessions

  /** @param {Element} jingle @param {Element} iq @returns {null} */
  receiveJingle(jingle, iq) {
    this.mustBeFocus(iq);
    const action = attr(jingle, 'action');
    if (action === 'session-initiate') {
      /** @type {import('./net/jingle.js').Offer} */
      let offer;
      try { offer = readOffer(jingle); } catch { throw new StanzaError('bad-request'); }
      // after the acknowledgement
      queueMicrotask(() => { void this.startSession(offer); });
      return null;
    }
    if (attr(jingle, 'sid') !== this.session?.offer.sid) throw new StanzaError('item-not-found');
    if (action === 'session-terminate') {
      console.info('session ended by the focus:', readReason(jingle));
      this.closeSession();
      this.slots.clear();
    } else if (action === 'source-add') this.addSources(readSources(jingle));
    else if (action === 'source-remove') this.removeSources(readSources(jingle));
    return null;
  }

  /** @param {import('./net/jingle.js').Offer} offer */
  async startSession(offer) {
    const { room, store } = this;
    if (!room || this.ended) return;
    this.closeSession();
    this.slots.clear();
    const session = new MediaSession(offer, room.nick, {
      slot: (ssrc, track) => this.slots.setTrack(ssrc, track),
      connected: () => this.mediaConnected(),
      failed: (why) => { void this.restart(why); },
    });
    this.session = session;
    const url = this.channelUrl(offer);
    if (url) this.channel = new BridgeChannel(url, (m) => this.receiveBridge(m), () => this.greet());
    try {
      const { mic, camera } = store.state.self;
      const answer = await session.start(mic.track, camera.on ? camera.track : null);
      await this.xmpp.request({ to: room.focus, type: 'set' },
        sessionAccept(offer, this.xmpp.jid, answer));
      if (this.session !== session) return;
      this.accepted = true;
      for (const job of this.waiting.splice(0)) job();
      this.addSources(offer.sources.filter((s) => s.owner !== 'jvb'));
      await this.sendTracks(); // what has changed meanwhile
      await this.sendScreen();
      this.publish();
    } catch (e) {
      if (this.session !== session) return;
      console.error('session failed', e);
      session.fail(e instanceof Error ? e.message : 'error');
    }
  }

  /** @param {import('./net/jingle.js').Offer} offer */
  channelUrl({ channels }) {
    return channels.find((url) => {
      try { return ['ws:', 'wss:'].includes(new URL(url).protocol); } catch { return false; }
    });
  }

  /** The pictures stay as they were last seen, until a new session begins. */
  closeSession() {
    this.session?.close();
    this.channel?.close();
    clearTimeout(this.constraintTimer);
    this.session = null;
    this.channel = null;
    this.accepted = false;
    this.waiting = [];
    if (this.store.state.connection.media) this.store.set('connection', { media: false });
  }

  mediaConnected() {
    this.failures = 0;
    this.store.set('connection', { media: true, ...this.mediaBack() });
  }

  mediaBack() {
    return this.store.state.connection.cause === 'media'
      ? /** @type {const} */ ({ state: 'joined', cause: null, since: 0, attempt: 0 }) : {};
  }

  /** The media is lost: the focus is asked for a new session. @param {string} why */
  async restart(why) {
    const { session, room, store } = this;
    if (!session || !room || this.ended) return;
    this.failures += 1;
    store.set('connection', { state: 'reconnecting', cause: 'media', since: Date.now(), attempt: this.failures });
    this.closeSession();
    if (this.failures > MEDIA_ATTEMPTS) { this.end(() => this.events.lost(why)); return; }
    try {
      await this.xmpp.request({ to: room.focus, type: 'set' }, sessionTerminate(session.offer,
        { reason: 'connectivity-error', text: why, restart: true }));
    } catch {
      this.end(() => this.events.lost(why));
    }
  }

  // ---------- sources without rewriting

  /** @param {Source[]} sources */
  addSources(sources) {
    const news = sources.filter((s) => s.owner !== this.room?.nick && s.owner !== 'jvb');
    if (news.length === 0) return;
    if (!this.accepted) { this.waiting.push(() => this.addSources(news)); return; }
    for (const kind of /** @type {const} */ (['audio', 'video'])) {
      const mapped = news.filter((s) => s.kind === kind).map((s) => ({ ...s, source: s.name }));
      this.slots.apply(kind, mapped);
    }
    this.makeSlots(news);
  }

  /** @param {Source[]} sources */
  removeSources(sources) {
    const ssrcs = sources.map((s) => s.ssrc);
    for (const ssrc of ssrcs) this.slots.remove(ssrc);
    this.session?.removeSlots(ssrcs).catch(() => {});
  }

  /** @param {import('./media/pc.js').NewSlot[]} slots */
  makeSlots(slots) {
    this.session?.addSlots(slots).catch((e) => console.warn('slots', e));
  }

  // ---------- bridge channel

  /** What the bridge has to know each time the channel opens. */
  greet() {
    this.constrain();
    this.publish();
  }

  /** @param {Record<string, any>} m */
  receiveBridge(m) {
    switch (m.colibriClass) {
      case 'AudioSourcesMap': this.mapSources('audio', m.mappedSources); break;
      case 'VideoSourcesMap': this.mapSources('video', m.mappedSources); break;
      case 'ForwardedSources':
        if (Array.isArray(m.forwardedSources)) this.slots.forwarded(new Set(m.forwardedSources));
        break;
      case 'DominantSpeakerEndpointChangeEvent': this.receiveSpeaker(m); break;
      case 'SenderSourceConstraints': this.receiveSenderConstraints(m); break;
      case 'EndpointConnectivityStatusChangeEvent':
        this.changePerson(m.endpoint, { interrupted: String(m.active) !== 'true' });
        break;
      case 'EndpointStats': this.receiveEndpointStats(m); break;
      case 'ConnectionStats': this.estimate = Number(m.estimatedDownlinkBandwidth) || null; break;
      default: // ServerHello and what newer bridges say
    }
  }

  /** @param {'audio' | 'video'} kind @param {unknown} list */
  mapSources(kind, list) {
    const mapped = readMap(list).filter((m) => m.owner !== this.room?.nick);
    if (!this.accepted) { this.waiting.push(() => this.mapSources(kind, list)); return; }
    this.slots.apply(kind, mapped);
    this.makeSlots(mapped.map(({ ssrc, rtx }) => ({ kind, ssrc, rtx })));
  }

  /** @param {Record<string, any>} m */
  receiveSpeaker({ dominantSpeakerEndpoint, silence }) {
    const id = typeof dominantSpeakerEndpoint === 'string' ? dominantSpeakerEndpoint : null;
    const isOther = id !== null && id !== this.room?.nick && silence !== true;
    this.stage.dominant(isOther ? id : null, Date.now());
    this.store.set('speaker', { dominant: silence === true ? null : id });
    this.tickSpeaker();
  }

  /** The large picture may follow; called with the levels. */
  tickSpeaker() {
    const stage = this.stage.tick(Date.now());
    if (stage !== this.store.state.speaker.stage) this.store.set('speaker', { stage });
  }

  /** @param {Record<string, any>} m */
  receiveSenderConstraints({ sourceName, maxHeight }) {
    if (sourceName !== `${this.room?.nick}-v0` || !Number.isInteger(maxHeight)) return;
    this.session?.limitCamera(maxHeight).catch(() => {});
  }

  /** @param {Record<string, any>} m */
  receiveEndpointStats({ from, connectionQuality: quality }) {
    if (typeof quality !== 'number') return;
    const bars = quality >= 70 ? 4 : quality >= 50 ? 3 : quality >= 30 ? 2 : 1;
    this.changePerson(from, { bars });
  }

  /** Every ten seconds the others hear how this connection does. @param {import('./media/stats.js').Stats} stats */
  reportStats(stats) {
    if (Date.now() - this.statsSentAt < STATS_EVERY) return;
    this.statsSentAt = Date.now();
    this.channel?.send(endpointStats(stats));
  }

  /** @param {string} id @param {Partial<import('./store.js').Person>} change */
  changePerson(id, change) {
    const person = this.store.state.people.get(id);
    if (!person) return;
    Object.assign(person, change);
    this.store.emit('people', id);
  }
}
