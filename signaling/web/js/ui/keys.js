// Single-key shortcuts, by the place of the key, so that they work in every layout. They are off
// while somebody types, in menus and dialogs, and when the settings say so; F6 and Esc always work.
import * as app from '../app.js';
import { $ } from '../dom.js';
import { store } from '../store.js';
import { toggleHand, toggleShare, toggleView } from './deck.js';
import { toggleInput } from './devices.js';
import { openKeys, openQuality } from './dialogs.js';
import { toggleFullScreen } from './full-screen.js';

/**
 * @typedef {object} KeyActions
 * @property {(which: 'chat' | 'people') => void} panel
 * @property {() => boolean} closePanel  whether one was open
 * @property {() => void} strip
 * @property {(n: number) => string | null} sourceOf  the nth other person's picture
 * @property {(step: number) => void} turn
 */

const TYPING = 'input:not([type="range"], [type="checkbox"], [type="radio"]), textarea, select, [role="menu"], dialog, [popover]';
const ZONES = ['#stage', '#panel', '#deck', '.notices'];

/** @param {string} source */
const pin = (source) => app.pin(store.state.view.pinned === source ? null : source);

/** F6 goes around the parts of the page. @param {boolean} isBack */
function nextZone(isBack) {
  const zones = ZONES.map((sel) => document.querySelector(sel))
    .filter((el) => el instanceof HTMLElement && !el.hidden && (el.id !== '' || el.childElementCount > 0));
  const at = zones.findLastIndex((el) => el?.contains(document.activeElement));
  const next = zones.at((at + (isBack ? -1 : 1)) % zones.length);
  if (!(next instanceof HTMLElement)) return;
  const first = next.id === 'stage' ? next.querySelector('.tile[tabindex="0"]')
    : [...next.querySelectorAll('textarea, input, button')].find((el) => /** @type {HTMLElement} */ (el).offsetParent);
  /** @type {HTMLElement} */ (first ?? next).focus();
}

export class Keys {
  /** @param {KeyActions} actions */
  constructor(actions) {
    this.actions = actions;
    /** Whether the microphone is on only because a key is held. */
    this.isTalking = false;
    this.down = (/** @type {KeyboardEvent} */ e) => this.press(e);
    this.up = (/** @type {KeyboardEvent} */ e) => { if (e.code === 'Space') this.stopTalking(); };
    this.blur = () => this.stopTalking();
    document.addEventListener('keydown', this.down);
    document.addEventListener('keyup', this.up);
    addEventListener('blur', this.blur);
  }

  close() {
    this.stopTalking();
    document.removeEventListener('keydown', this.down);
    document.removeEventListener('keyup', this.up);
    removeEventListener('blur', this.blur);
  }

  /** @param {KeyboardEvent} e */
  press(e) {
    const target = /** @type {Element} */ (e.target);
    if (e.key === 'F6') { e.preventDefault(); nextZone(e.shiftKey); return; }
    if (e.key === 'Escape') { this.escape(e); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || target.closest(TYPING) || document.querySelector('dialog[open]')) return;
    if (e.key === 'PageUp' || e.key === 'PageDown') { this.actions.turn(e.key === 'PageUp' ? -1 : 1); return; }
    if (!store.state.switches.keys) return;
    const run = e.key === '?' ? openKeys : e.repeat ? undefined : this.action(e.code, target);
    if (!run) return;
    e.preventDefault();
    run();
  }

  /** @param {string} code @param {Element} target @returns {(() => void) | undefined} */
  action(code, target) {
    const { actions } = this;
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
    if (digit === '0') return () => pin('self');
    if (digit) {
      const source = actions.sourceOf(Number(digit));
      return source ? () => pin(source) : undefined;
    }
    // Space presses the button that has the focus
    if (code === 'Space') return target.closest('button, a, summary, .tile') ? undefined : () => this.talk();
    return {
      KeyM: () => toggleInput('mic'), KeyV: () => toggleInput('camera'), KeyD: toggleShare,
      KeyR: toggleHand, KeyC: () => actions.panel('chat'), KeyP: () => actions.panel('people'),
      KeyW: toggleView, KeyF: () => actions.strip(), KeyS: toggleFullScreen, KeyA: openQuality,
    }[code];
  }

  /** The topmost thing is the browser's to close; then the panel, then the pin. @param {KeyboardEvent} e */
  escape(e) {
    if (document.querySelector('dialog[open], :popover-open:not(.tip)') || e.defaultPrevented) return;
    if (this.actions.closePanel()) return;
    if (store.state.view.pinned) app.pin(null);
  }

  talk() {
    const { mic } = store.state.self;
    if (mic.on || mic.problem || !store.state.switches.talk) return;
    this.isTalking = true;
    void app.setMic(true);
  }

  stopTalking() {
    if (!this.isTalking) return;
    this.isTalking = false;
    void app.setMic(false);
  }
}

/** Puts the focus on a control of the bar. @param {string} id */
export const focusControl = (id) => {
  const el = document.querySelector(`#ctl-${id}:not([hidden])`) ?? $('#ctl-more');
  /** @type {HTMLElement} */ (el).focus();
};
