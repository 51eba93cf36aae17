// Short sounds, made here: two or three soft tones through the chosen speaker.
import { store } from '../store.js';

/** @type {Record<'join' | 'leave' | 'message' | 'hand' | 'test', number[]>} Hz */
const TUNES = {
  join: [523, 784], leave: [784, 523], message: [880], hand: [659, 880], test: [523, 659, 784],
};
const STEP = 0.14;

/** @type {any} */
let context = null;

/** @param {keyof typeof TUNES} name */
export function play(name) {
  context ??= new AudioContext();
  const { speaker } = store.state.devices;
  if (speaker && context.setSinkId && context.sinkId !== speaker) context.setSinkId(speaker).catch(() => {});
  void context.resume().catch(() => {});
  TUNES[name].forEach((frequency, i) => {
    const at = context.currentTime + 0.02 + i * STEP;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.12, at + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.3);
    tone.connect(gain).connect(context.destination);
    tone.start(at);
    tone.stop(at + 0.32);
  });
}
