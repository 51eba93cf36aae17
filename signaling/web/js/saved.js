// What this browser remembers between meetings; nothing of it goes to the server.

/**
 * @typedef {object} Saved
 * @property {string} name
 * @property {string} mic       device ids
 * @property {string} camera
 * @property {string} speaker
 * @property {string} machine   32 hex digits by which the focus knows this browser
 * @property {{ path: string, title: string, at: number, minutes: number }[]} recent rooms, newest first
 * @property {Partial<Switches>} switches  of the settings, where they are not as they come
 *
 * @typedef {typeof SWITCHES} Switches
 */

/** The switches of the settings as they come. */
export const SWITCHES = {
  noise: true,
  mirror: true,
  keys: true,
  talk: true,
  soundJoin: false,
  soundMessage: true,
  soundHand: true,
  forget: false,
};

const KEY = 'trestle.saved';
const RECENT = 8;

/** @returns {Saved} */
export function load() {
  /** @type {Partial<Saved>} */
  let found = {};
  try { found = JSON.parse(localStorage.getItem(KEY) ?? '{}') ?? {}; } catch { /* private mode */ }
  return {
    name: '',
    mic: '',
    camera: '',
    speaker: '',
    machine: crypto.randomUUID().replaceAll('-', ''),
    ...found,
    recent: Array.isArray(found.recent) ? found.recent : [],
    switches: found.switches ?? {},
  };
}

/** @param {Partial<Saved>} change */
export function save(change) {
  try { localStorage.setItem(KEY, JSON.stringify({ ...load(), ...change })); } catch { /* private mode */ }
}

/** Puts a room at the head of the list. @param {string} path @param {string} title @param {number} minutes */
export function remember(path, title, minutes) {
  const others = load().recent.filter((r) => r.path !== path);
  save({ recent: [{ path, title, at: Date.now(), minutes }, ...others].slice(0, RECENT) });
}

const HANDED = 'trestle.handed';

/**
 * What the page that takes the place of this one goes on with.
 * @typedef {object} Handed
 * @property {string} name
 * @property {boolean} mic      whether it is wanted
 * @property {boolean} camera
 * @property {boolean} isIn     whether the person has asked to be in the meeting
 */

/** @param {Handed} handed */
export function handOver(handed) {
  try { sessionStorage.setItem(HANDED, JSON.stringify(handed)); } catch { /* private mode */ }
}

/** @returns {Partial<Handed>} once */
export function takeOver() {
  try {
    const handed = JSON.parse(sessionStorage.getItem(HANDED) ?? '{}') ?? {};
    sessionStorage.removeItem(HANDED);
    return handed;
  } catch { return {}; }
}
