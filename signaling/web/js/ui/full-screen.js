// Full screen: the bar leaves while nobody moves or types, and comes back at once.
import { store } from '../store.js';

const IDLE_AFTER = 4000;

export function toggleFullScreen() {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void document.documentElement.requestFullscreen?.().catch(() => {});
}

/** Somebody needs the bar: the focus is in it, something is open, or a silent microphone is spoken to. */
function isNeeded() {
  const { mic, level } = store.state.self;
  return document.querySelector('.deck :focus-visible, :popover-open:not(.tip), dialog[open]') !== null
    || (!mic.on && level > 0.02);
}

/** Begins to watch; gives back a function that ends it. @returns {() => void} */
export function watchFullScreen() {
  let seenAt = Date.now();
  const show = () => {
    seenAt = Date.now();
    document.body.classList.remove('is-idle');
  };
  const timer = setInterval(() => {
    if (!document.fullscreenElement || isNeeded()) show();
    else if (Date.now() - seenAt >= IDLE_AFTER) document.body.classList.add('is-idle');
  }, 500);
  const events = ['pointermove', 'pointerdown', 'keydown', 'fullscreenchange'];
  for (const event of events) document.addEventListener(event, show);
  return () => {
    clearInterval(timer);
    for (const event of events) document.removeEventListener(event, show);
    if (document.fullscreenElement) void document.exitFullscreen();
    document.body.classList.remove('is-idle');
  };
}
