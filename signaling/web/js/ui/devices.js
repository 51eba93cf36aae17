// Microphone and camera are switched, and devices chosen from lists: in the page before, the menus and
// the settings.
import { chooseDevice, setCamera, setMic } from '../app.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { select } from './controls.js';

/** @typedef {'mic' | 'camera' | 'speaker'} Kind */

const LISTS = /** @type {const} */ ({ mic: 'mics', camera: 'cameras', speaker: 'speakers' });
/** @type {Record<Kind, string>} */
export const DEVICE_LABELS = { mic: 'p.mic', camera: 'p.cam', speaker: 'p.spk' };
const ICONS = { mic: 'mic', camera: 'camera', speaker: 'volume' };
export const KINDS = /** @type {Kind[]} */ (['mic', 'speaker', 'camera']);

/** The devices of a kind, with a name each. @param {Kind} kind */
export function devicesOf(kind) {
  return store.state.devices[LISTS[kind]].map(({ id, label }, i) => (
    { id, label: label || `${t(DEVICE_LABELS[kind])} ${i + 1}` }));
}

/** The one in use: the chosen one while it is there, else the first. @param {Kind} kind */
export function deviceInUse(kind) {
  const list = devicesOf(kind);
  const chosen = store.state.devices[kind];
  return (list.find((d) => d.id === chosen) ?? list[0])?.id ?? '';
}

/**
 * A list of one kind of devices.
 * @param {Kind} kind @param {string} id @param {boolean} isLabelled by itself
 */
export function deviceSelect(kind, id, isLabelled) {
  const made = select(id, ICONS[kind], isLabelled ? t(DEVICE_LABELS[kind]) : null,
    (device) => { void chooseDevice(kind, device); });
  const fill = () => {
    const list = devicesOf(kind);
    const none = kind === 'speaker' ? 'p.spkDefault' : kind === 'mic' ? 'p.micNone' : 'p.noneT';
    made.set(list.length > 0 ? list : [{ id: '', label: t(none) }], deviceInUse(kind));
  };
  fill();
  return { el: made.el, fill };
}

/** A problem is tried again; else it is switched. @param {'mic' | 'camera'} which */
export function toggleInput(which) {
  const { on, problem } = store.state.self[which];
  void (which === 'mic' ? setMic : setCamera)(problem !== null || !on);
}
