// Microphone, camera, screen: opens them, names what goes wrong, measures the microphone.

/**
 * @typedef {import('../store.js').Problem} Problem
 * @typedef {import('../store.js').Device} Device
 */

/** Opening a device failed. */
export class DeviceError extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    const name = cause instanceof Error ? cause.name : '';
    super(name, { cause });
    /** @type {Exclude<Problem, null>} */
    this.problem = name === 'NotAllowedError' || name === 'SecurityError' ? 'denied'
      : name === 'NotReadableError' || name === 'AbortError' ? 'busy' : 'missing';
  }
}

/** @param {MediaStreamConstraints} constraints @returns {Promise<MediaStreamTrack>} */
async function open(constraints) {
  try {
    const [track] = (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
    if (!track) throw new DOMException('', 'NotFoundError');
    return track;
  } catch (e) {
    throw new DeviceError(e);
  }
}

/** A chosen device is only preferred, so that one that was unplugged does no harm. @param {string} id */
const prefer = (id) => (id ? { deviceId: { ideal: id } } : {});

/** @param {string} id empty for the default @param {{ noiseSuppression?: boolean }} [options] */
export function openMicrophone(id, { noiseSuppression = true } = {}) {
  return open({
    audio: { ...prefer(id), echoCancellation: true, autoGainControl: true, noiseSuppression },
  });
}

/** @param {string} id @param {number} height wanted @param {'user' | 'environment'} [facing] */
export function openCamera(id, height, facing) {
  return open({
    video: {
      ...prefer(id),
      ...(facing ? { facingMode: facing } : {}),
      height: { ideal: height },
      width: { ideal: Math.round(height * 16 / 9) },
      frameRate: { ideal: 30, max: 30 },
    },
  });
}

/** A screen as the person picks it; null when they think better of it. */
export async function openScreen() {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({
      video: { frameRate: { ideal: 15, max: 30 } },
      audio: false,
    });
    return stream.getVideoTracks()[0] ?? null;
  } catch (e) {
    if (e instanceof DOMException && e.name === 'NotAllowedError') return null;
    throw new DeviceError(e);
  }
}

/** @returns {Promise<{ mics: Device[], cameras: Device[], speakers: Device[] }>} */
export async function listDevices() {
  const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
  /** @param {MediaDeviceKind} kind */
  const of = (kind) => all.filter((d) => d.kind === kind && d.deviceId)
    .map((d) => ({ id: d.deviceId, label: d.label }));
  return { mics: of('audioinput'), cameras: of('videoinput'), speakers: of('audiooutput') };
}

/** @param {() => void} listener called when a device comes or goes */
export function onDeviceChange(listener) {
  navigator.mediaDevices?.addEventListener('devicechange', listener);
}

/**
 * Level of the microphone. It listens to a copy of the track, so that it hears the person also
 * while the microphone is off, to tell them so.
 */
export class LevelMeter {
  constructor() {
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {MediaStreamTrack | null} */
    this.copy = null;
    /** @type {AnalyserNode | null} */
    this.analyser = null;
    this.samples = new Float32Array(512);
  }

  /** @param {MediaStreamTrack | null} track */
  listen(track) {
    this.copy?.stop();
    this.copy = null;
    this.analyser?.disconnect();
    this.analyser = null;
    if (!track) return;
    this.context ??= new AudioContext();
    this.copy = track.clone();
    this.copy.enabled = true;
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = this.samples.length;
    this.context.createMediaStreamSource(new MediaStream([this.copy])).connect(this.analyser);
  }

  /** The browser starts audio only after the first click. */
  resume() { void this.context?.resume().catch(() => {}); }

  /** @returns {number} 0 to 1 */
  level() {
    if (!this.analyser) return 0;
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const s of this.samples) sum += s * s;
    return Math.min(1, Math.sqrt(sum / this.samples.length) * 2);
  }
}
