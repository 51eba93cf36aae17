// The connection test of the page before the meeting: a throw-away transport, its round trip, and a
// short download.
import { writeRemote } from '../net/sdp.js';

/**
 * @typedef {object} Probe
 * @property {'good' | 'weak' | 'tcp' | 'none' | 'unknown'} verdict  unknown: the server has no test
 * @property {number} rtt   ms
 * @property {number} mbps  downwards
 */

const CONNECT_LIMIT = 5000;
const DOWNLOAD_LIMIT = 1000;
const DOWNLOAD_BYTES = 512_000;
const GOOD_RTT = 300;
const GOOD_MBPS = 1;

/**
 * What the figures mean (design 5).
 * @param {{ connected: boolean, protocol: string, rtt: number, mbps: number }} of
 * @returns {Probe['verdict']}
 */
export function verdictOf({ connected, protocol, rtt, mbps }) {
  if (!connected) return 'none';
  if (protocol === 'tcp') return 'tcp';
  return rtt <= GOOD_RTT && mbps >= GOOD_MBPS ? 'good' : 'weak';
}

/** Tests the way to this server; never rejects. @returns {Promise<Probe>} */
export async function probe() {
  try {
    const answer = await fetch('/connection-test', { method: 'POST' });
    if (!answer.ok) return { verdict: 'unknown', rtt: 0, mbps: 0 };
    const offer = readTransport(await answer.json());
    const [path, mbps] = await Promise.all([connect(offer), download()]);
    return { verdict: verdictOf({ ...path, mbps }), rtt: path.rtt, mbps };
  } catch (e) {
    console.warn('connection test', e);
    return { verdict: 'unknown', rtt: 0, mbps: 0 };
  }
}

/** @param {any} json `transport` in the JSON of colibri2 @returns {import('../net/jingle.js').Offer} */
function readTransport(json) {
  const ice = json.transport ?? json;
  const opus = {
    id: 111, name: 'opus', clockrate: 48000, channels: 2, parameters: [], feedback: [],
  };
  const medium = { payloads: [opus], extensions: [], mixed: false };
  /** @param {any} f */
  const fingerprint = (f) => ({ hash: f.hash, setup: f.setup, value: f.fingerprint });
  /** @param {any} c */
  const candidate = (c) => Object.fromEntries(Object.entries(c).map(([k, v]) => [k, String(v)]));
  return {
    sid: 'test',
    initiator: '',
    bridgeSession: '',
    channels: [],
    sources: [],
    media: { audio: medium, video: medium },
    transport: {
      ufrag: ice.ufrag,
      pwd: ice.pwd,
      fingerprints: (ice.fingerprints ?? []).map(fingerprint),
      candidates: (ice.candidates ?? []).map(candidate),
    },
  };
}

/** @param {import('../net/jingle.js').Offer} offer */
async function connect(offer) {
  const pc = new RTCPeerConnection();
  try {
    const line = /** @type {const} */ ({
      kind: 'audio', direction: 'sendrecv', ssrc: null, rtx: null, stream: 'test',
    });
    await pc.setRemoteDescription({ type: 'offer', sdp: writeRemote(offer, [line], 1) });
    await pc.setLocalDescription(await pc.createAnswer());
    const connected = await isConnected(pc);
    return { connected, ...await selectedPath(pc) };
  } finally {
    pc.close();
  }
}

/** @param {RTCPeerConnection} pc @returns {Promise<boolean>} */
function isConnected(pc) {
  return new Promise((done) => {
    const timer = setTimeout(() => done(false), CONNECT_LIMIT);
    pc.oniceconnectionstatechange = () => {
      const state = pc.iceConnectionState;
      if (!['connected', 'completed', 'failed'].includes(state)) return;
      clearTimeout(timer);
      done(state !== 'failed');
    };
  });
}

/** @param {RTCPeerConnection} pc */
async function selectedPath(pc) {
  /** @type {Map<string, any>} */
  const report = new Map((await pc.getStats()).entries());
  const pair = [...report.values()].find((s) => s.type === 'candidate-pair'
    && s.state === 'succeeded' && (s.nominated || s.selected));
  return {
    protocol: String(report.get(pair?.remoteCandidateId)?.protocol ?? ''),
    rtt: Math.round((pair?.currentRoundTripTime ?? 0) * 1000),
  };
}

/** @returns {Promise<number>} Mbit/s */
async function download() {
  const began = performance.now();
  const answer = await fetch('/connection-test/data', { cache: 'no-store' });
  const reader = answer.body?.getReader();
  let bytes = 0;
  while (reader && bytes < DOWNLOAD_BYTES && performance.now() - began < DOWNLOAD_LIMIT) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
  }
  void reader?.cancel().catch(() => {});
  const seconds = (performance.now() - began) / 1000;
  return seconds > 0 ? bytes * 8 / 1e6 / seconds : 0;
}
