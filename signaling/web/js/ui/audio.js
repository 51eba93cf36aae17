// What is heard: one <audio> for each audio slot, with the volume of the slot's present owner.
import { h } from '../dom.js';
import { store } from '../store.js';

/** @type {Map<number, HTMLAudioElement>} by SSRC */
const elements = new Map();
/** @type {() => void} */
let onBlocked = () => {};

function sync() {
  const { slots, sources, volumes } = store.state;
  for (const [ssrc, { kind, track, source }] of slots) {
    if (kind !== 'audio' || !track) continue;
    const element = elements.get(ssrc) ?? make(ssrc);
    if (/** @type {MediaStream | null} */ (element.srcObject)?.getTracks()[0] !== track) {
      element.srcObject = new MediaStream([track]);
      void element.play().catch((e) => { if (e.name === 'NotAllowedError') onBlocked(); });
    }
    const owner = source ? sources.get(source)?.owner ?? '' : '';
    element.volume = (volumes.get(owner) ?? 100) / 100;
  }
  for (const [ssrc, element] of elements) {
    if (slots.has(ssrc)) continue;
    element.srcObject = null;
    element.remove();
    elements.delete(ssrc);
  }
}

/** @param {number} ssrc */
function make(ssrc) {
  const element = h('audio', { autoplay: true, hidden: true });
  elements.set(ssrc, element);
  document.body.append(element);
  void useSpeaker(element);
  return element;
}

/** @param {HTMLAudioElement} element */
async function useSpeaker(element) {
  const { speaker } = store.state.devices;
  if (!speaker || !element.setSinkId || element.sinkId === speaker) return;
  await element.setSinkId(speaker).catch(() => {}); // it was unplugged: the default is used
}

/** Begins; `blocked` is called when the browser wants a click first. @param {() => void} blocked */
export function startAudio(blocked) {
  onBlocked = blocked;
  for (const topic of ['slots', 'sources', 'people']) store.on(topic, sync);
  store.on('devices', () => elements.forEach((element) => { void useSpeaker(element); }));
}

/** After the click that the browser wanted. */
export function unblockAudio() {
  for (const element of elements.values()) void element.play().catch(() => {});
}
