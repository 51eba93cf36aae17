// Microphone, camera and screen as people switch them: opens devices into the store, and hands the
// tracks to the meeting, when there is one.
import {
  DeviceError, LevelMeter, listDevices, openCamera, openMicrophone, openScreen,
} from './media/devices.js';
import { save } from './saved.js';
import { store } from './store.js';

const { state } = store;

/** Hears the microphone, also while it is off. */
export const meter = new LevelMeter();

/** @type {import('./meeting.js').Meeting | null} */
let meeting = null;
let resolution = 720;

/** Where tracks go from now on. @param {import('./meeting.js').Meeting | null} next */
export function attach(next) { meeting = next; }

/** @param {number} height wanted of the camera */
export function setResolution(height) { resolution = height; }

export function closeInputs() {
  const { mic, camera, screen } = state.self;
  meter.listen(null);
  for (const part of [mic, camera, screen]) {
    part.track?.stop();
    part.track = null;
  }
  screen.on = false;
  store.emit('self');
}

/** @param {boolean} on */
export async function setMic(on) {
  const { mic } = state.self;
  mic.on = on;
  if (mic.track) mic.track.enabled = on;
  else if (on) await openInput('mic');
  publish();
}

/** @param {boolean} on */
export async function setCamera(on) {
  const { camera } = state.self;
  camera.on = on;
  if (!on) {
    camera.track?.stop();
    camera.track = null;
  } else if (!camera.track) await openInput('camera');
  publish();
}

/**
 * Opens the chosen device into the state; what goes wrong is the input's problem.
 * @param {'mic' | 'camera'} which
 * @param {'user' | 'environment'} [facing]
 */
async function openInput(which, facing) {
  const input = state.self[which];
  input.busy = true;
  store.emit('self');
  try {
    const track = which === 'mic' ? await openMicrophone(state.devices.mic, { noiseSuppression: state.switches.noise })
      : await openCamera(facing ? '' : state.devices.camera, resolution, facing);
    input.track?.stop();
    input.track = track;
    input.problem = null;
    track.addEventListener('ended', () => { void inputEnded(which, track); });
    if (which === 'mic') meter.listen(track);
    // it may have been switched off while it was being opened
    if (!input.on && which === 'camera') { track.stop(); input.track = null; }
    track.enabled = which === 'camera' || input.on;
  } catch (e) {
    if (!(e instanceof DeviceError)) throw e;
    input.problem = e.problem;
    input.on = false;
    if (state.page === 'meeting') {
      store.notify({ kind: 'device-problem', what: which, problem: e.problem });
    }
  } finally {
    input.busy = false;
  }
}

/** Tells views and, in a meeting, the others and the peer connection. */
function publish() {
  store.emit('self');
  meeting?.publish();
  meeting?.sendTracks().catch((e) => console.warn('tracks', e));
}

/** @param {'mic' | 'camera'} which @param {MediaStreamTrack} track that the device ended by itself */
async function inputEnded(which, track) {
  const input = state.self[which];
  if (input.track !== track) return;
  const name = track.label;
  input.track = null;
  await refreshDevices();
  const isLeft = state.devices[which === 'mic' ? 'mics' : 'cameras'].length > 0;
  if (input.on && isLeft) await openInput(which);
  else if (!isLeft) Object.assign(input, { on: false, problem: 'missing' });
  const now = /** @type {MediaStreamTrack | null} */ (state.self[which].track);
  store.notify({ kind: 'device-lost', name, now: now?.label ?? '' });
  publish();
}

export async function refreshDevices() { store.set('devices', await listDevices()); }

export async function devicesChanged() {
  const { mics, cameras } = state.devices;
  const before = new Set([...mics, ...cameras].map((d) => d.id));
  await refreshDevices();
  for (const list of /** @type {const} */ (['mics', 'cameras'])) {
    for (const { id, label } of state.devices[list]) {
      if (before.has(id) || id === 'default' || id === 'communications') continue;
      const which = list === 'mics' ? 'mic' : 'camera';
      if (state.self[which].problem === 'missing') state.self[which].problem = null;
      if (label) store.notify({ kind: 'device-found', name: label, what: which, id });
      store.emit('self');
    }
  }
}

/** @param {'mic' | 'camera' | 'speaker'} kind @param {string} id */
export async function chooseDevice(kind, id) {
  store.set('devices', { [kind]: id });
  save({ [kind]: id });
  if (kind === 'speaker') return;
  if (kind === 'camera' && !state.self.camera.on) return;
  await openInput(kind);
  publish();
}

export async function flipCamera() {
  const now = state.self.camera.track?.getSettings().facingMode;
  await openInput('camera', now === 'environment' ? 'user' : 'environment');
  publish();
}

export async function startScreen() {
  try {
    const track = await openScreen();
    if (!track) return;
    track.addEventListener('ended', () => { void stopScreen(); });
    store.set('self', { screen: { on: true, track } });
    await meeting?.sendScreen();
    meeting?.publish();
  } catch (e) {
    console.warn('screen', e);
    await stopScreen();
    store.notify({ kind: 'share-failed' });
  }
}

export async function stopScreen() {
  state.self.screen.track?.stop();
  store.set('self', { screen: { on: false, track: null } });
  await meeting?.sendScreen().catch(() => {});
  meeting?.publish();
}
