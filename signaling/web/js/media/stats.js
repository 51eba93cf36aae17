// getStats of the browser to what people read: rates, loss, round trip, and bars.

/**
 * @typedef {object} StreamStats  one source that is received, or the own camera or screen
 * @property {number} bitrate     bit/s
 * @property {number} loss        share of packets lost, 0 to 1
 * @property {number} jitter      ms
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {string} codec       'VP8', 'opus'
 * @property {number} silentFor   ms without media
 *
 * @typedef {object} Stats
 * @property {number} up          bit/s
 * @property {number} down
 * @property {number} lossUp      0 to 1
 * @property {number} lossDown
 * @property {number} rtt         ms
 * @property {string} protocol    'udp' or 'tcp'
 * @property {number} port        of the bridge
 * @property {number | null} estimate  bit/s towards us, as the bridge says
 * @property {Map<string, StreamStats>} received  by source name
 * @property {{ audio: StreamStats | null, video: StreamStats | null }} sent
 * @property {number[]} history   up to 60 values of `down`, one a second
 * @property {number} bars        0 to 4, of the own connection
 */

const HISTORY = 60;

/**
 * Bars of a received picture or sound (design 5).
 * @param {{ bitrate: number, wanted: number, loss: number, silentFor: number }} of
 * @returns {number} 0 to 4
 */
export function barsOf({ bitrate, wanted, loss, silentFor }) {
  if (silentFor >= 3000) return 0;
  const share = wanted > 0 ? bitrate / wanted : 1;
  if (share >= 0.7 && loss < 0.02) return 4;
  if (share >= 0.5 && loss < 0.08) return 3;
  if (share >= 0.3 || loss < 0.08) return 2;
  return 1;
}

/** Bars that rise after 5 s of better and fall after 2 s of worse. */
export class Bars {
  constructor() {
    this.shown = 4;
    this.since = -Infinity;
    this.isBetter = false;
  }

  /** @param {number} bars @param {number} now ms @returns {number} what to show */
  update(bars, now) {
    const isBetter = bars > this.shown;
    if (bars === this.shown) this.since = Infinity;
    else if (this.since === Infinity || isBetter !== this.isBetter || this.since < 0) {
      this.since = now;
      this.isBetter = isBetter;
    }
    if (bars !== this.shown && now - this.since >= (isBetter ? 5000 : 2000)) {
      this.shown = bars;
      this.since = Infinity;
    }
    return this.shown;
  }
}

/** What one stream's counters were at the last reading. */
class Counter {
  constructor() {
    this.bytes = 0;
    this.packets = 0;
    this.lost = 0;
    this.at = 0;
    this.mediaAt = 0;
  }

  /**
   * @param {{ bytes: number, packets: number, lost: number }} next @param {number} now
   */
  step({ bytes, packets, lost }, now) {
    const seconds = (now - this.at) / 1000;
    const isFirst = this.at === 0;
    const newPackets = Math.max(0, packets - this.packets);
    const newLost = Math.max(0, lost - this.lost);
    if (newPackets > 0 || isFirst) this.mediaAt = now;
    const out = {
      bitrate: isFirst || seconds <= 0 ? 0 : Math.max(0, bytes - this.bytes) * 8 / seconds,
      loss: newPackets + newLost > 0 ? newLost / (newPackets + newLost) : 0,
      packets: newPackets,
      lost: newLost,
      silentFor: now - this.mediaAt,
    };
    Object.assign(this, { bytes, packets, lost, at: now });
    return out;
  }
}

export class StatsReader {
  constructor() {
    /** @type {Map<string, Counter>} */
    this.counters = new Map();
    /** @type {number[]} */
    this.history = [];
    this.bars = new Bars();
  }

  /** @param {string} key */
  counter(key) {
    const known = this.counters.get(key);
    if (known) return known;
    const made = new Counter();
    this.counters.set(key, made);
    return made;
  }

  /**
   * @param {Iterable<[string, any]>} report  of RTCPeerConnection.getStats
   * @param {(ssrc: number) => string | null} sourceOf  which source a slot carries now
   * @param {number} now ms
   * @param {number | null} estimate
   * @returns {Stats}
   */
  read(report, sourceOf, now, estimate) {
    const byId = new Map(report);
    /** @type {Stats} */
    const out = {
      up: 0, down: 0, lossUp: 0, lossDown: 0, rtt: 0, protocol: '', port: 0, estimate,
      received: new Map(), sent: { audio: null, video: null }, history: this.history, bars: 4,
    };
    let packets = 0;
    let lost = 0;
    for (const s of byId.values()) {
      if (s.type === 'transport') this.readTransport(s, byId, out, now);
      else if (s.type === 'inbound-rtp') {
        const stream = this.readInbound(s, byId, now);
        packets += stream.packets;
        lost += stream.lost;
        const source = sourceOf(s.ssrc);
        if (source !== null) out.received.set(source, stream);
      } else if (s.type === 'outbound-rtp') this.readOutbound(s, byId, out, now);
      else if (s.type === 'remote-inbound-rtp') {
        out.lossUp = Math.max(out.lossUp, s.fractionLost ?? 0);
      }
    }
    out.lossDown = packets + lost > 0 ? lost / (packets + lost) : 0;
    this.history.push(out.down);
    if (this.history.length > HISTORY) this.history.shift();
    const loss = Math.max(out.lossDown, out.lossUp);
    out.bars = this.bars.update(barsOf({ bitrate: 1, wanted: 0, loss, silentFor: 0 }), now);
    return out;
  }

  /** @param {any} s @param {Map<string, any>} byId @param {Stats} out @param {number} now */
  readTransport(s, byId, out, now) {
    out.up += this.counter('up').step({ bytes: s.bytesSent ?? 0, packets: 1, lost: 0 }, now).bitrate;
    const received = { bytes: s.bytesReceived ?? 0, packets: 1, lost: 0 };
    out.down += this.counter('down').step(received, now).bitrate;
    this.readPair(byId.get(s.selectedCandidatePairId), byId, out);
  }

  /** @param {any} pair @param {Map<string, any>} byId @param {Stats} out */
  readPair(pair, byId, out) {
    const remote = byId.get(pair?.remoteCandidateId);
    out.rtt = Math.round((pair?.currentRoundTripTime ?? 0) * 1000);
    out.protocol = remote?.protocol ?? '';
    out.port = remote?.port ?? 0;
  }

  /** @param {any} s @param {Map<string, any>} byId @param {number} now */
  readInbound(s, byId, now) {
    const step = this.counter(s.id).step({
      bytes: s.bytesReceived ?? 0, packets: s.packetsReceived ?? 0, lost: s.packetsLost ?? 0,
    }, now);
    return { ...picture(s, byId), ...step, jitter: Math.round((s.jitter ?? 0) * 1000) };
  }

  /** @param {any} s @param {Map<string, any>} byId @param {Stats} out @param {number} now */
  readOutbound(s, byId, out, now) {
    const step = this.counter(s.id).step({
      bytes: s.bytesSent ?? 0, packets: s.packetsSent ?? 0, lost: 0,
    }, now);
    const kind = s.kind === 'audio' ? 'audio' : 'video';
    const old = out.sent[kind];
    const next = { ...picture(s, byId), ...step, jitter: 0 };
    // the layers of one picture: rates add up, the largest names the size
    const larger = old && old.height > next.height ? old : next;
    out.sent[kind] = { ...larger, bitrate: next.bitrate + (old?.bitrate ?? 0) };
  }
}

/** @param {any} s @param {Map<string, any>} byId */
function picture(s, byId) {
  return {
    width: s.frameWidth ?? 0,
    height: s.frameHeight ?? 0,
    fps: Math.round(s.framesPerSecond ?? 0),
    codec: String(byId.get(s.codecId)?.mimeType ?? '').split('/')[1] ?? '',
  };
}
