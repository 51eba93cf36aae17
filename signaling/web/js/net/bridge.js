// The bridge channel: JSON messages over a WebSocket that comes back by itself.

const FIRST_RETRY = 1000;
const LAST_RETRY = 60_000;
/** How often EndpointStats go out, ms. */
export const STATS_EVERY = 10_000;

/**
 * What this client asks of the bridge.
 * @typedef {object} Constraints
 * @property {Map<string, number>} heights  wanted height by source name
 * @property {string[]} onStage
 *
 * @typedef {(message: Record<string, any>) => void} OnMessage
 */

/** @param {Constraints} constraints */
export function receiverConstraints({ heights, onStage }) {
  const list = [...heights].map(([name, maxHeight]) => [name, { maxHeight }]);
  return {
    colibriClass: 'ReceiverVideoConstraints',
    lastN: -1,
    assumedBandwidthBps: -1,
    defaultConstraints: { maxHeight: 0 },
    constraints: Object.fromEntries(list),
    selectedSources: [],
    onStageSources: onStage,
  };
}

/** What the others are told of this connection. @param {import('../media/stats.js').Stats} stats */
export function endpointStats({ down, up, lossDown, lossUp, bars, rtt }) {
  /** @param {number} bps */
  const kbps = (bps) => Math.round(bps / 1000);
  /** @param {number} share */
  const percent = (share) => Math.round(share * 100);
  return {
    colibriClass: 'EndpointStats',
    bitrate: { download: kbps(down), upload: kbps(up) },
    packetLoss: { download: percent(lossDown), upload: percent(lossUp) },
    connectionQuality: [5, 25, 40, 60, 100][bars],
    jvbRTT: rtt,
  };
}

export class BridgeChannel {
  /**
   * @param {string} url
   * @param {OnMessage} onmessage
   * @param {() => void} onopen  each time it opens: what the bridge must know is sent again
   */
  constructor(url, onmessage, onopen) {
    this.url = url;
    this.onmessage = onmessage;
    this.onopen = onopen;
    this.retry = FIRST_RETRY;
    this.closed = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.open();
  }

  get isOpen() { return this.socket?.readyState === WebSocket.OPEN; }

  open() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.retry = FIRST_RETRY;
      this.onopen();
    };
    socket.onmessage = (e) => this.receive(e.data);
    socket.onclose = () => {
      if (this.closed) return;
      this.timer = setTimeout(() => this.open(), this.retry);
      this.retry = Math.min(LAST_RETRY, this.retry * 2);
    };
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
  }

  /** @param {Record<string, unknown>} message @returns {boolean} whether it went out */
  send(message) {
    if (!this.socket || !this.isOpen) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** @param {Constraints} constraints */
  constrain(constraints) { this.send(receiverConstraints(constraints)); }

  /** @param {string} sourceName @param {'camera' | 'desktop' | 'none'} videoType */
  videoType(sourceName, videoType) {
    this.send({ colibriClass: 'SourceVideoTypeMessage', sourceName, videoType });
  }

  /** A message to another endpoint, or with an empty `to` to all. @param {string} to @param {unknown} msgPayload */
  endpointMessage(to, msgPayload) {
    this.send({ colibriClass: 'EndpointMessage', to, msgPayload });
  }

  /** @param {unknown} data */
  receive(data) {
    if (typeof data !== 'string') return;
    /** @type {unknown} */
    let message;
    try { message = JSON.parse(data); } catch { return; }
    if (message && typeof message === 'object' && 'colibriClass' in message) this.onmessage(message);
  }
}
