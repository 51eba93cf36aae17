// The life of the page: before, in and after a meeting, and every action a view can take. Views
// read store.js and call these; they never send a stanza.
//
//   start(view)                 once, when the page is loaded; view: when what draws the meeting is there
//   setName(name)               kept in this browser; told to the room
//   join(password?)             from the page before the meeting (or its question)
//   leave()  rejoin()  tryNow() rejoin: from the page after; tryNow: ends the wait for a next attempt
//   setMic(on) setCamera(on)    also before the meeting; opening a device again is "try again"
//   startScreen() stopScreen()
//   raiseHand(up)
//   chooseDevice(kind, id)      'mic' | 'camera' | 'speaker'; in use at once
//   flipCamera()                the other side of a phone
//   say(text) sayAgain(id)      chat; the message is in the store at once, 'pending' until it is back
//   openChat(open)              whether messages are being read (unread count)
//   mute(id, kind)              moderator: 'audio' | 'video' | 'desktop'
//   muteAll(kind)  kick(id)  setPassword(password)   moderator; empty password unlocks
//   testConnection()            result in state.probe; 'unknown' is not shown
//   setView(mode)  pin(source)  hideSelf(hide)   pin: name of a source, 'self' or null
//   setQuality(height)          no received picture is larger; 0 for no limit
//   setSwitch(name, on)         of the settings, kept in this browser
//   want(heights, onStage)      what the stage shows: height by source name, sources shown large
//   setVolume(id, volume)       0 to 100; the view applies it to the <audio> of the person's slot
//
// All of them return at once or a promise that never rejects; what fails becomes a notice.
import { parseConfig, roomOfPath } from './config.js';
import {
  attach, chooseDevice, closeInputs, devicesChanged, meter, refreshDevices, setCamera, setMic, setResolution,
  stopScreen,
} from './inputs.js';
import { onDeviceChange } from './media/devices.js';
import { Ring } from './media/speaker.js';
import { probe } from './media/probe.js';
import { StatsReader } from './media/stats.js';
import { handOver, load, remember, save, takeOver } from './saved.js';
import { store } from './store.js';

export {
  chooseDevice, flipCamera, setCamera, setMic, startScreen, stopScreen,
} from './inputs.js';

const BACKOFF = [1, 2, 4, 8, 15];
const FULL_RETRY = 10_000;
const LEVELS_EVERY = 100;
const TALKING_MUTED_AFTER = 1500;

const { state } = store;
const saved = load();
const room = roomOfPath(location.pathname);
const config = parseConfig(/** @type {any} */ (globalThis).config, new URL(location.href), room?.node ?? '');

/** @typedef {import('./meeting.js').Meeting} Meeting */
/** @type {Meeting | null} */
let meeting = null;
/** The meeting that has been entered; a loss before that is a failed attempt. @type {Meeting | null} */
let entered = null;
let statsReader = new StatsReader();
/** The code of the meeting, which the page before it does without. @type {Promise<[typeof import('./meeting.js'), void]>} */
let code;
/** @type {(() => void) | null} ends the present wait between two attempts */
let wake = null;
/** Whether the person wants to be in the meeting. */
let isIn = false;
let password = '';

/** @param {Promise<void>} view */
export function start(view) {
  if (!room) return;
  const { done, failed } = /** @type {any} */ (globalThis).trestleLoad;
  // Firefox keeps a failure as long as the page, and a server that was replaced meanwhile has the code no more
  code = Promise.all([import('./meeting.js'), view]).catch(failed);
  void code.then(done).then(firstTest);
  const handed = takeOver();
  document.title = room.title;
  store.set('room', { title: room.title, url: location.origin + location.pathname });
  store.set('self', { name: handed.name ?? (config.displayName || saved.name) });
  state.self.mic.on = handed.mic ?? !config.startAudioMuted;
  state.self.camera.on = handed.camera ?? !config.startVideoMuted;
  Object.assign(state.switches, saved.switches);
  store.set('devices', { mic: saved.mic, camera: saved.camera, speaker: saved.speaker });
  if (!globalThis.RTCPeerConnection || !RTCRtpSender.prototype.replaceTrack) {
    showAfter('old');
    return;
  }
  if (!isSecureContext || !navigator.mediaDevices) { showAfter('insecure'); return; }
  setResolution(config.resolution);
  onDeviceChange(() => { void devicesChanged(); });
  document.addEventListener('reload', () => {
    const { name, mic, camera } = state.self;
    handOver({ name, mic: mic.on || mic.problem !== null, camera: camera.on || camera.problem !== null, isIn });
  });
  globalThis.addEventListener('pagehide', () => meeting?.leave());
  // a page that comes back out of the browser's cache has left its meeting
  globalThis.addEventListener('pageshow', (e) => { if (e.persisted) location.reload(); });
  globalThis.addEventListener('online', tryNow);
  setInterval(tickLevels, LEVELS_EVERY);
  setInterval(() => { void tickStats(); }, 1000);
  void Promise.all([setMic(state.self.mic.on), setCamera(state.self.camera.on)])
    .then(refreshDevices);
  if (config.prejoin && !handed.isIn) store.show('prejoin'); else void join();
}

// ---------- in and out

/** @param {string} name */
export function setName(name) {
  const next = name.trim().slice(0, 60);
  store.set('self', { name: next });
  save({ name: next });
  meeting?.publish();
}

/** @param {string} [secret] */
export async function join(secret = password) {
  if (isIn) return;
  isIn = true;
  password = secret;
  meter.resume();
  store.show('joining');
  store.set('connection', { state: 'connecting', attempt: 0, retryAt: 0 });
  await stayIn();
}

/** Enters, and enters again while the person wants to be in and nothing final is said. */
async function stayIn() {
  for (let attempt = 0; isIn; attempt++) {
    store.set('connection', { attempt, retryAt: 0 });
    try {
      await enter();
      return;
    } catch (e) {
      if (!isIn) return;
      const { condition = '' } = /** @type {Partial<import('./net/xmpp.js').StanzaError>} */ (e);
      if (refuse(condition)) return;
      await pause(condition === 'service-unavailable' ? FULL_RETRY : backOff(attempt));
    }
  }
}

/** @param {number} attempt @returns {number} ms */
function backOff(attempt) {
  const seconds = BACKOFF[Math.min(attempt, BACKOFF.length - 1)] ?? 15;
  return seconds * 1000 * (0.75 + Math.random() / 2);
}

/** Waits for the next attempt, or until `tryNow`. @param {number} ms */
async function pause(ms) {
  store.set('connection', { retryAt: Date.now() + ms });
  await new Promise((done) => {
    const timer = setTimeout(done, ms);
    wake = () => { clearTimeout(timer); done(undefined); };
  });
  wake = null;
}

export function tryNow() { wake?.(); }

async function enter() {
  const [{ Meeting }] = await code;
  if (!isIn) return;
  const attempt = new Meeting(config, room?.node ?? '', store, {
    lost: () => { void comeBack(attempt); },
    removed: ({ kind, by, reason }) => finish(kind, by, reason),
    muted: (what, by) => { void mutedByModerator(what, by); },
  });
  meeting = attempt;
  attach(attempt);
  await attempt.join(password, saved.machine);
  entered = attempt;
  save({ machine: saved.machine });
  store.set('connection', { state: 'joined', cause: null, since: 0, attempt: 0, retryAt: 0 });
  if (!state.room.since) store.set('room', { since: Date.now() });
  statsReader = new StatsReader();
  if (state.page !== 'meeting') store.show('meeting');
}

/**
 * What the room's refusal asks of the person.
 * @param {string} condition
 * @returns {boolean} whether there is no sense in trying again by itself
 */
function refuse(condition) {
  if (condition === 'service-unavailable') { store.show('joining', { ask: 'full' }); return false; }
  const isPassword = condition === 'not-authorized';
  if (!isPassword && condition !== 'not-allowed' && condition !== 'forbidden'
    && condition !== 'registration-required') return false;
  isIn = false;
  store.set('connection', { state: 'idle' });
  store.show('prejoin', { ask: !isPassword ? 'refused' : password ? 'password-wrong' : 'password' });
  password = '';
  return true;
}

/** @param {Meeting} lost */
async function comeBack(lost) {
  if (!isIn || entered !== lost) return;
  entered = null;
  store.set('connection', {
    state: 'reconnecting', cause: 'network', since: state.connection.since || Date.now(), media: false,
  });
  await stayIn();
}

export function leave() { finish('left', '', ''); }

export async function rejoin() {
  state.chat.messages = [];
  store.set('chat', { unread: 0 });
  store.set('self', { hand: null });
  await Promise.all([setMic(state.self.mic.on), setCamera(state.self.camera.on)]);
  await join();
}

/** @param {'left' | 'kicked' | 'destroyed'} kind @param {string} by @param {string} reason */
function finish(kind, by, reason) {
  isIn = false;
  wake?.();
  meeting?.leave();
  meeting = null;
  attach(null);
  const minutes = state.room.since ? Math.round((Date.now() - state.room.since) / 60_000) : 0;
  if (room && state.room.since && !state.switches.forget) remember(location.pathname, room.title, minutes);
  closeInputs();
  for (const id of [...state.people.keys()]) state.people.delete(id);
  for (const part of [state.sources, state.slots, state.wanted]) part.clear();
  store.set('speaker', { dominant: null, stage: null });
  store.set('room', { since: 0 });
  store.set('connection', { state: 'idle', cause: null, since: 0, attempt: 0, retryAt: 0, media: false });
  showAfter(kind, by, reason, minutes);
}

/** @param {import('./store.js').After['kind']} kind */
function showAfter(kind, by = '', reason = '', minutes = 0) {
  store.show('after', { after: { kind, by, reason, minutes } });
}

/** @param {'audio' | 'video' | 'desktop'} what @param {string} by */
async function mutedByModerator(what, by) {
  if (what === 'audio') await setMic(false);
  else if (what === 'video') await setCamera(false);
  else await stopScreen();
  store.notify({ kind: 'muted', by, what });
}

// ---------- what a person does in the room

/** @param {boolean} up */
export function raiseHand(up) {
  store.set('self', { hand: up ? Date.now() : null });
  meeting?.publish();
}

/** @param {string} text */
export function say(text) {
  const body = text.trim().slice(0, 4000);
  if (!body || !meeting?.room) return;
  const { id: from, name } = state.self;
  const id = crypto.randomUUID();
  state.chat.messages.push(
    { id, from, name, text: body, at: Date.now(), own: true, state: 'pending' });
  store.emit('chat');
  deliver(id, body);
}

/** @param {string} id of a message that failed */
export function sayAgain(id) {
  const message = state.chat.messages.find((m) => m.id === id && m.state === 'failed');
  if (!message) return;
  message.state = 'pending';
  store.emit('chat');
  deliver(id, message.text);
}

/** @param {string} id @param {string} text */
function deliver(id, text) {
  meeting?.room?.say(id, text);
  setTimeout(() => {
    const message = state.chat.messages.find((m) => m.id === id && m.state === 'pending');
    if (!message) return;
    message.state = 'failed';
    store.emit('chat');
  }, 10_000);
}

/** @param {boolean} open */
export function openChat(open) {
  store.set('chat', { open, unread: open ? 0 : state.chat.unread });
}

/** Does what only a moderator may. @param {string} what @param {Promise<unknown> | undefined} done */
async function moderate(what, done) {
  try { await done; } catch (e) {
    console.warn(what, e);
    store.notify({ kind: 'action-failed', what });
  }
}

/** @param {string} id @param {'audio' | 'video' | 'desktop'} kind */
export const mute = (id, kind) => moderate('mute', meeting?.room?.mute(id, kind, true));

/** @param {'audio' | 'video' | 'desktop'} kind */
export async function muteAll(kind) {
  const loud = [...state.people.values()]
    .filter((p) => (kind === 'audio' ? !p.audioMuted : kind === 'desktop' || !p.videoMuted));
  await Promise.all(loud.map(({ id }) => mute(id, kind)));
}

/** @param {string} id */
export const kick = (id) => moderate('kick', meeting?.room?.kick(id));

/** @param {string} secret */
export async function setPassword(secret) {
  await moderate('password', meeting?.room?.setPassword(secret));
  password = secret; // to come back after a lost connection
}

/** The test of the connection measures nothing but itself: everything is loaded. */
function firstTest() {
  if (state.page === 'prejoin' && !state.ask) void testConnection();
}

export async function testConnection() {
  if (state.probe === 'running') return;
  state.probe = 'running';
  store.emit('probe');
  state.probe = await probe();
  store.emit('probe');
}

/** @param {'tile' | 'stage'} mode */
export function setView(mode) { store.set('view', { mode, unpinned: mode, pinned: null }); }

/** @param {string | null} source */
export function pin(source) {
  const { mode, pinned, unpinned } = state.view;
  const before = pinned ? unpinned : mode;
  store.set('view', { pinned: source, unpinned: before, mode: source ? 'stage' : before });
}

/** @param {number} maxHeight 0 for no limit */
export function setQuality(maxHeight) { store.set('view', { maxHeight }); }

/** @param {keyof import('./saved.js').Switches} name @param {boolean} on */
export function setSwitch(name, on) {
  state.switches[name] = on;
  save({ switches: { ...load().switches, [name]: on } });
  if (name === 'forget' && on) save({ recent: [] });
  if (name === 'noise' && state.self.mic.track) void chooseDevice('mic', state.devices.mic);
  store.emit('switches');
}

/** @param {boolean} hide */
export function hideSelf(hide) { store.set('view', { hideSelf: hide }); }

/** @param {Map<string, number>} heights @param {string[]} onStage */
export function want(heights, onStage) { meeting?.want(heights, onStage); }

/** @param {string} id @param {number} volume */
export function setVolume(id, volume) {
  state.volumes.set(id, Math.max(0, Math.min(100, Math.round(volume))));
  store.emit('people', id);
}

// ---------- levels and statistics

const selfRing = new Ring();
/** @type {WeakMap<import('./store.js').Person, Ring>} */
const rings = new WeakMap();
let talkingSince = 0;

/** @param {import('./store.js').Person} person */
function ringOf(person) {
  const ring = rings.get(person) ?? new Ring();
  rings.set(person, ring);
  return ring;
}

function tickLevels() {
  if (document.hidden) return;
  const now = Date.now();
  const heard = meeting?.session?.levels() ?? new Map();
  /** @type {Map<string, number>} */
  const byOwner = new Map();
  for (const { kind, source, ssrc } of state.slots.values()) {
    const owner = kind === 'audio' && source ? state.sources.get(source)?.owner : undefined;
    if (owner) byOwner.set(owner, heard.get(ssrc) ?? 0);
  }
  for (const person of state.people.values()) {
    person.level = person.audioMuted ? 0 : byOwner.get(person.id) ?? 0;
    person.speaking = ringOf(person).level(person.level, now) && !person.audioMuted;
    if (person.speaking) person.spokeAt = now;
  }
  const { self } = state;
  self.level = meter.level();
  const isTalking = selfRing.level(self.level, now);
  self.speaking = isTalking && self.mic.on;
  warnTalkingMuted(isTalking, now);
  meeting?.tickSpeaker();
  store.emit('levels');
}

/** @param {boolean} isTalking @param {number} now */
function warnTalkingMuted(isTalking, now) {
  if (!isTalking || state.self.mic.on || state.page !== 'meeting') { talkingSince = 0; return; }
  talkingSince ||= now;
  if (now - talkingSince < TALKING_MUTED_AFTER) return;
  talkingSince = Infinity; // said once for this stretch of speech
  store.notify({ kind: 'talking-muted' });
}

async function tickStats() {
  const session = meeting?.session;
  if (!session || document.hidden) return;
  const report = await session.pc.getStats().catch(() => null);
  if (!report || !meeting) return;
  /** @param {number} ssrc */
  const sourceOf = (ssrc) => state.slots.get(ssrc)?.source ?? null;
  state.stats = statsReader.read(report.entries(), sourceOf, Date.now(), meeting.estimate);
  meeting.reportStats(state.stats);
  store.emit('stats');
}

