// Menus and dialogs are sheets at the foot of a narrow screen: pulled down far enough, or flicked, one
// closes. Escape, the backdrop and the close button do the same.
import { h } from '../dom.js';

const NARROW = '(max-width: 639px)';
/** A finger that moves less is a tap, px. */
const SLOP = 8;
/** What closes: this part of the height, or this speed in px/ms over at least FLICK px. */
const FAR = 1 / 3;
const FAST = 0.5;
const FLICK = 24;
const SETTLE = 160;

/**
 * Whether a sheet that was let go closes.
 * @param {{ pulled: number, height: number, speed: number }} pull px, px and px/ms, downwards
 */
export function isClosing({ pulled, height, speed }) {
  return pulled >= height * FAR || (pulled >= FLICK && speed >= FAST);
}

/** Whether a finger on `from` scrolls what is under it. @param {Element | null} from @param {HTMLElement} sheet */
function isScroller(from, sheet) {
  for (let el = from; el; el = el === sheet ? null : el.parentElement) {
    if (el.scrollHeight > el.clientHeight && /auto|scroll/.test(getComputedStyle(el).overflowY)) return true;
  }
  return false;
}

/**
 * Lets a menu or a dialog be pulled down, by its grip or anywhere that does not scroll.
 * @param {HTMLElement} el @param {() => void} close
 */
export function sheet(el, close) {
  /** @type {{ x: number, y: number, last: number, at: number, speed: number, pulled: number } | null} */
  let pull = null;
  el.prepend(h('div', { class: 'grip', 'aria-hidden': 'true' }));

  el.addEventListener('pointerdown', (e) => {
    const target = /** @type {Element} */ (e.target);
    if (!e.isPrimary || e.button !== 0 || !matchMedia(NARROW).matches) return;
    if (target.closest('input, select, textarea')) return;
    if (!target.closest('.grip, .dlg__head') && isScroller(target, el)) return;
    pull = { x: e.clientX, y: e.clientY, last: e.clientY, at: e.timeStamp, speed: 0, pulled: 0 };
  });

  el.addEventListener('pointermove', (e) => {
    if (!pull) return;
    const down = e.clientY - pull.y;
    if (!pull.pulled) {
      if (Math.abs(e.clientX - pull.x) > SLOP || down < -SLOP) pull = null;
      if (!pull || down < SLOP) return;
      el.setPointerCapture(e.pointerId); // what is under the finger is not clicked any more
    }
    const time = e.timeStamp - pull.at;
    if (time > 0) pull.speed = (e.clientY - pull.last) / time;
    Object.assign(pull, { last: e.clientY, at: e.timeStamp, pulled: Math.max(1, down) });
    el.style.transform = `translateY(${pull.pulled}px)`;
  });

  /** @param {PointerEvent} e */
  const end = (e) => {
    if (!pull?.pulled) { pull = null; return; }
    const { pulled, speed, at } = pull;
    pull = null;
    const isHeld = e.timeStamp - at > 100; // a finger that rests has no speed
    const closes = e.type === 'pointerup'
      && isClosing({ pulled, height: el.offsetHeight, speed: isHeld ? 0 : speed });
    void settle(pulled, closes);
  };
  el.addEventListener('pointerup', end);
  el.addEventListener('pointercancel', end);

  /** @param {number} from @param {boolean} closes */
  async function settle(from, closes) {
    const duration = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : SETTLE;
    const to = closes ? '100%' : '0';
    el.style.transform = '';
    const move = el.animate([{ transform: `translateY(${from}px)` }, { transform: `translateY(${to})` }],
      { duration, easing: 'ease-out', fill: 'forwards' });
    await move.finished.catch(() => {}); // closed meanwhile, by something else
    if (closes) close();
    move.cancel();
  }
}
