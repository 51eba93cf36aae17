// Small pieces that several pages and dialogs use: buttons of the bar, fields, switches, the meter.
import { h, icon, setIcon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';

/**
 * @typedef {object} Control
 * @property {string} ic
 * @property {string} label
 * @property {string} [key]       shortcut
 * @property {string} [cls]
 * @property {boolean} [pressed]
 * @property {boolean} [busy]
 * @property {boolean} [mark]     a problem
 * @property {number | string} [badge]
 * @property {string} [badgeCls]
 */

/**
 * A button of the bar; `setControl` gives it its face.
 * @param {string} id @param {(e: MouseEvent) => void} run
 * @param {{ prio?: number, popup?: boolean }} [options]
 */
export function ctl(id, run, { prio, popup } = {}) {
  return h('button', {
    type: 'button', class: 'ctl', id: `ctl-${id}`, onclick: run,
    'aria-haspopup': popup ? 'menu' : null, 'aria-expanded': popup ? 'false' : null,
    data: { ctl: id, action: id, ...(prio === undefined ? {} : { prio }) },
  }, icon('more'));
}

/** Shows a state on a button. @param {HTMLElement} button @param {Control} c */
export function setControl(button, { ic, label, key, cls = '', pressed, busy, mark, badge, badgeCls = '' }) {
  setIcon(button, ic);
  button.className = `ctl ${cls}`;
  const unread = badge && !badgeCls ? `${label}, ${t('h.unread', { n: badge })}` : label;
  if (button.getAttribute('aria-label') !== unread) button.setAttribute('aria-label', unread);
  button.dataset.tip = label;
  if (key) { button.dataset.key = key; button.setAttribute('aria-keyshortcuts', key); }
  if (pressed !== undefined) button.setAttribute('aria-pressed', String(pressed));
  if (busy) button.setAttribute('aria-busy', 'true'); else button.removeAttribute('aria-busy');
  const extra = badge ? String(badge) : mark ? '!' : '';
  const shown = button.querySelector('.ctl__badge, .ctl__mark');
  if (!extra) { shown?.remove(); return; }
  const next = h('span', { class: badge ? `ctl__badge ${badgeCls}` : 'ctl__mark', 'aria-hidden': 'true' }, extra);
  if (shown) shown.replaceWith(next); else button.append(next);
}

/** The face of the microphone or camera button. @param {'mic' | 'camera'} which @returns {Control} */
export function inputControl(which) {
  const { on, problem, busy } = store.state.self[which];
  const isOn = on && problem === null;
  const label = which === 'mic' ? (isOn ? 'm.mute' : 'm.unmute') : isOn ? 'm.camOff' : 'm.camOn';
  return {
    ic: isOn ? which : `${which}-off`, label: t(label), key: which === 'mic' ? 'M' : 'V', busy,
    cls: problem ? 'is-error' : isOn ? '' : 'is-off', mark: problem !== null,
  };
}

/** @param {string} label @param {string} cls @param {(e: MouseEvent) => void} run @param {string} [ic] */
export const button = (label, cls, run, ic) => h('button',
  { class: `btn ${cls}`, type: 'button', onclick: run }, ic && icon(ic), label);

/** @param {string} id @param {string} label @param {...any} kids */
export const field = (id, label, ...kids) => h('div', { class: 'field' }, h('label', { for: id }, label), kids);

/** @param {string} kind @param {string} ic @param {string} text @param {string} [id] */
export const hint = (kind, ic, text, id) => h('p', { class: `hint ${kind && `hint--${kind}`}`, id: id ?? null },
  icon(ic), h('span', null, text));

/**
 * @param {string} label @param {string | null} small @param {boolean} isOn
 * @param {(on: boolean) => void} change
 */
export const toggle = (label, small, isOn, change) => h('label', { class: 'switch' },
  h('span', null, label, small && h('small', null, small)),
  h('input', {
    type: 'checkbox', role: 'switch', checked: isOn,
    onchange: (/** @type {Event} */ e) => change(/** @type {HTMLInputElement} */ (e.currentTarget).checked),
  }));

/**
 * A list to choose from; `set` fills it again and leaves it alone while it is open.
 * @typedef {{ el: HTMLElement, set: (options: { id: string, label: string }[], chosen: string) => void }} Select
 *
 * @param {string} id @param {string} ic icon, may be empty @param {string | null} label
 * @param {(id: string) => void} choose
 * @returns {Select}
 */
export function select(id, ic, label, choose) {
  const list = h('select', { class: 'input', id, 'aria-label': label, onchange: () => choose(list.value) });
  const el = h('span', { class: `select ${ic && 'select--icon'}` }, ic && icon(ic), list, icon('chevron-down'));
  let shown = '';
  return {
    el,
    set(options, chosen) {
      const text = JSON.stringify([options, chosen]);
      if (text === shown) return;
      shown = text;
      list.replaceChildren(...options.map((o) => h('option', { value: o.id, selected: o.id === chosen }, o.label)));
    },
  };
}

/** Level of the microphone as braces that light up. @param {number} count */
export function meter(count) {
  const el = h('span', { class: 'meter', role: 'img', 'aria-label': t('p.level') },
    Array.from({ length: count }, () => h('i')));
  const parts = [...el.children];
  /** @param {number} level 0 to 1 */
  const set = (level) => {
    const lit = Math.round(Math.min(1, Math.sqrt(level) * 1.5) * count);
    parts.forEach((part, i) => { part.className = i < lit ? (i > count - 4 ? 'on hot' : 'on') : ''; });
  };
  return { el, set };
}

/** Follows the microphone while it is in the page. @param {number} count */
export function liveMeter(count) {
  const { el, set } = meter(count);
  const end = store.on('levels', () => {
    if (!el.isConnected) { end(); return; }
    set(store.state.self.mic.on ? store.state.self.level : 0);
  });
  return el;
}

/** An address as people read it. @param {string} url */
function readable(url) {
  const short = url.replace(/^https?:\/\//, '');
  try { return decodeURI(short); } catch { return short; } // a stray % is part of it
}

/** An address with a button that copies it. @param {string} text @param {string} label */
export function copyRow(text, label) {
  const shown = h('span', { class: 'ellipsis' }, readable(text));
  const said = h('span', { role: 'status' }, t('c.copy'));
  const copy = h('button', {
    class: 'btn btn--sm btn--soft', type: 'button', 'aria-label': `${t('c.copy')}: ${label}`,
    onclick: async () => {
      try { await navigator.clipboard.writeText(text); } catch {
        getSelection()?.selectAllChildren(shown); // to be copied by hand
        return;
      }
      said.textContent = t('c.copied');
      setIcon(copy, 'check');
      setTimeout(() => { said.textContent = t('c.copy'); setIcon(copy, 'copy'); }, 2000);
    },
  }, icon('copy'), said);
  return h('div', { class: 'copyrow' }, shown, copy);
}
