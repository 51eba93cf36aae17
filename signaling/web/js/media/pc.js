// One media session: a peer connection that always answers, its own two senders and screen, and a
// receive slot per m-line (web-client design 12.1).
import { addSimulcast, layers, ownGroups, readLocal, writeRemote } from '../net/sdp.js';

/**
 * @typedef {import('../net/jingle.js').Offer} Offer
 * @typedef {import('../net/jingle.js').OwnSource} OwnSource
 * @typedef {import('../net/jingle.js').Kind} Kind
 * @typedef {{ kind: Kind, ssrc: number, rtx: number | null }} NewSlot
 *
 * @typedef {object} SessionEvents
 * @property {(ssrc: number, track: MediaStreamTrack) => void} slot
 * @property {() => void} connected
 * @property {(why: string) => void} failed  once
 */

const AUDIO = 0;
const CAMERA = 1;
const DISCONNECTED_LIMIT = 5000;

export const isFirefox = () => navigator.userAgent.includes('Firefox/');

/** @returns {number[]} four random SSRCs */
const randomSsrcs = () => [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n || 1);

export class MediaSession {
  /** @param {Offer} offer @param {string} nick @param {SessionEvents} events */
  constructor(offer, nick, events) {
    this.offer = offer;
    this.nick = nick;
    this.events = events;
    this.firefox = isFirefox();
    this.extraSsrcs = randomSsrcs();
    this.version = 0;
    this.captureHeight = 720;
    /** Greatest height that the bridge wants of the camera; -1 is any. */
    this.maxHeight = -1;
    /** @type {number | null} m-line of the screen */
    this.screenLine = null;
    /** @type {import('../net/sdp.js').LocalDescription | null} */
    this.local = null;
    /** @type {Promise<unknown>} changes of the descriptions, one at a time */
    this.queue = Promise.resolve();
    this.closed = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @param {Kind} kind */
    const mixed = (kind) => offer.sources.find((s) => s.kind === kind && s.owner === 'jvb');
    /** @type {import('../net/sdp.js').Line[]} */
    this.lines = (/** @type {const} */ (['audio', 'video'])).map((kind) => ({
      kind,
      direction: 'sendrecv',
      ssrc: mixed(kind)?.ssrc ?? null,
      rtx: mixed(kind)?.rtx ?? null,
      stream: 'mixed',
      rids: kind === 'video' && this.firefox,
    }));
    // While there is one m-line of a kind, Firefox binds a packet of an unknown SSRC to it by its
    // payload type, and for good: a slot whose packets overtake its m-line would stay dark. A
    // second line that nothing is sent on makes such packets be dropped instead.
    if (this.firefox) {
      for (const kind of /** @type {const} */ (['audio', 'video'])) {
        const [ssrc = 1] = randomSsrcs();
        this.lines.push({ kind, direction: 'sendonly', ssrc, rtx: null, stream: 'spare' });
      }
    }
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
    this.pc.ontrack = (e) => this.receiveTrack(e);
    this.pc.oniceconnectionstatechange = () => this.watchIce();
    this.pc.onconnectionstatechange = () => {
      if (this.pc.connectionState === 'failed') this.fail('connection failed');
    };
  }

  /**
   * Answers the offer with these tracks; gives what session-accept tells.
   * @param {MediaStreamTrack | null} audio
   * @param {MediaStreamTrack | null} video
   */
  async start(audio, video) {
    await this.enqueue(() => this.negotiate(async () => {
      for (const [i, track] of [audio, video].entries()) {
        const transceiver = this.transceiver(i);
        transceiver.direction = 'sendrecv';
        await transceiver.sender.replaceTrack(track);
      }
    }));
    await this.adaptLayers(video);
    const { transport, lines } = this.need(this.local);
    return {
      transport,
      media: {
        audio: this.need(lines[AUDIO]).description,
        video: this.need(lines[CAMERA]).description,
      },
      sources: [this.own(AUDIO, `${this.nick}-a0`, null), this.own(CAMERA, `${this.nick}-v0`, 'camera')],
    };
  }

  /** Sends another track, or none; the others are not told. @param {MediaStreamTrack | null} track */
  async setAudio(track) { await this.transceiver(AUDIO).sender.replaceTrack(track); }

  /** @param {MediaStreamTrack | null} track */
  async setCamera(track) {
    await this.transceiver(CAMERA).sender.replaceTrack(track);
    await this.adaptLayers(track);
  }

  /**
   * Sends a screen; gives the source to signal the first time.
   * @param {MediaStreamTrack} track
   * @returns {Promise<OwnSource | null>}
   */
  async startScreen(track) {
    track.contentHint = 'detail';
    if (this.screenLine !== null) {
      await this.transceiver(this.screenLine).sender.replaceTrack(track);
      return null;
    }
    const index = this.lines.length;
    await this.enqueue(async () => {
      this.screenLine = this.lines.push({
        kind: 'video', direction: 'recvonly', ssrc: null, rtx: null, stream: 'screen',
      }) - 1;
      const line = this.screenLine;
      await this.negotiate(async () => {
        const transceiver = this.transceiver(line);
        transceiver.direction = 'sendonly';
        await transceiver.sender.replaceTrack(track);
      });
    });
    return this.own(this.screenLine ?? index, `${this.nick}-v1`, 'desktop');
  }

  async stopScreen() {
    if (this.screenLine !== null) await this.transceiver(this.screenLine).sender.replaceTrack(null);
  }

  /** Makes m-lines for new slots, all of them in one change. @param {NewSlot[]} slots */
  addSlots(slots) {
    return this.enqueue(async () => {
      const fresh = slots.filter((s) => !this.lines.some((l) => l.ssrc === s.ssrc));
      if (fresh.length === 0) return;
      for (const { kind, ssrc, rtx } of fresh) {
        const stream = `slot-${this.lines.length}`;
        this.lines.push({ kind, direction: 'sendonly', ssrc, rtx, stream });
      }
      await this.negotiate();
    });
  }

  /** Switches slots off; their m-lines stay. @param {number[]} ssrcs */
  removeSlots(ssrcs) {
    return this.enqueue(async () => {
      const gone = this.lines.filter((l) => l.ssrc !== null && ssrcs.includes(l.ssrc));
      if (gone.length === 0) return;
      for (const line of gone) Object.assign(line, { direction: 'inactive', ssrc: null, rtx: null });
      await this.negotiate();
    });
  }

  /** The bridge limits the camera. @param {number} maxHeight -1 is no limit, 0 stops it */
  async limitCamera(maxHeight) {
    if (maxHeight === this.maxHeight) return;
    this.maxHeight = maxHeight;
    await this.adaptLayers(this.transceiver(CAMERA).sender.track);
  }

  /**
   * How loud each audio slot is.
   * @returns {Map<number, number>} level 0 to 1 by SSRC
   */
  levels() {
    const out = new Map();
    for (const { receiver } of this.pc.getTransceivers()) {
      if (receiver.track.kind !== 'audio') continue;
      for (const { source, audioLevel } of receiver.getSynchronizationSources()) {
        out.set(source, audioLevel ?? 0);
      }
    }
    return out;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.pc.ontrack = this.pc.oniceconnectionstatechange = this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  /**
   * @template T
   * @param {() => Promise<T>} job
   * @returns {Promise<T>}
   */
  enqueue(job) {
    const run = this.queue.then(() => {
      if (this.closed) throw new Error('session closed');
      return job();
    });
    this.queue = run.catch(() => {});
    return run;
  }

  /** One round: remote offer, `prepare` the transceivers, answer. @param {() => Promise<void>} [prepare] */
  async negotiate(prepare) {
    this.version += 1;
    const sdp = writeRemote(this.offer, this.lines, this.version);
    await this.pc.setRemoteDescription({ type: 'offer', sdp });
    await prepare?.();
    const answer = await this.pc.createAnswer();
    const own = this.firefox ? answer.sdp
      : addSimulcast(answer.sdp ?? '', String(CAMERA), this.extraSsrcs);
    await this.pc.setLocalDescription({ type: 'answer', sdp: own });
    this.local = readLocal(this.pc.localDescription?.sdp ?? '');
  }

  /** @param {number} line @returns {RTCRtpTransceiver} */
  transceiver(line) {
    return this.need(this.pc.getTransceivers().find((t) => t.mid === String(line)));
  }

  /** @template T @param {T | null | undefined} value @returns {T} */
  need(value) {
    if (value === null || value === undefined) throw new Error('session not ready');
    return value;
  }

  /** @param {number} index @param {string} name @param {'camera' | 'desktop' | null} videoType @returns {OwnSource} */
  own(index, name, videoType) {
    const line = this.need(this.local?.lines[index]);
    return {
      ...ownGroups(line),
      kind: line.kind,
      name,
      videoType,
      msid: `${this.nick}-${line.kind}-${index} ${name}`,
    };
  }

  /** In the queue: parameters that are read while others are being set are refused. @param {MediaStreamTrack | null} track */
  adaptLayers(track) { return this.enqueue(() => this.applyLayers(track)); }

  /** @param {MediaStreamTrack | null} track */
  async applyLayers(track) {
    const { width = 0, height = 0 } = track?.getSettings() ?? {};
    this.captureHeight = Math.min(width || height, height) || this.captureHeight;
    const { sender } = this.transceiver(CAMERA);
    const parameters = sender.getParameters();
    if (parameters.encodings?.length !== 3) return;
    const limit = this.maxHeight < 0 ? Infinity : this.maxHeight;
    layers(this.captureHeight).forEach((layer, i) => {
      const isWanted = limit > 0 && (i === 0 || this.captureHeight / layer.scaleResolutionDownBy <= limit);
      Object.assign(parameters.encodings[i] ?? {}, layer, { active: layer.active && isWanted });
    });
    await sender.setParameters(parameters);
  }

  /** @param {RTCTrackEvent} event */
  receiveTrack({ transceiver, track }) {
    const line = Number(transceiver.mid);
    const ssrc = this.lines[line]?.ssrc;
    if (line > CAMERA && ssrc) this.events.slot(ssrc, track);
  }

  watchIce() {
    const state = this.pc.iceConnectionState;
    clearTimeout(this.timer);
    if (state === 'connected' || state === 'completed') this.events.connected();
    else if (state === 'failed') this.fail('ICE failed');
    else if (state === 'disconnected') {
      this.timer = setTimeout(() => this.fail('ICE disconnected'), DISCONNECTED_LIMIT);
    }
  }

  /** @param {string} why */
  fail(why) {
    if (this.closed) return;
    this.close();
    this.events.failed(why);
  }
}
