// Menus and their items.
import { h, icon } from '../dom.js';
import { rove } from './popover.js';

/**
 * @typedef {object} Item
 * @property {string} [ic]       icon
 * @property {string} label
 * @property {string} [key]      shortcut, as it is shown
 * @property {() => void} [onclick]
 * @property {boolean} [danger]
 * @property {boolean} [checked]
 * @property {string} [role]
 * @property {string | null} [sub]  second line
 */

/**
 * The menu closes before what was chosen is done, so that a dialog gives the focus back to the
 * button that opened the menu. A check box leaves it open.
 * @param {Item} of
 */
export function item({ ic, label, key, onclick, danger, checked, role = 'menuitem', sub }) {
  const isCheck = checked !== undefined;
  const isBox = isCheck && role === 'menuitem';
  const choose = (/** @type {MouseEvent} */ e) => {
    const button = /** @type {HTMLElement} */ (e.currentTarget);
    if (isBox) button.setAttribute('aria-checked', String(button.getAttribute('aria-checked') !== 'true'));
    else /** @type {HTMLElement | null} */ (button.closest('[popover]'))?.hidePopover();
    onclick?.();
  };
  return h('button', {
    type: 'button',
    class: `menu__item ${danger ? 'menu__item--danger' : ''}`,
    role: isBox ? 'menuitemcheckbox' : role,
    'aria-checked': isCheck ? String(checked) : null,
    onclick: choose,
  }, ic && icon(ic), h('span', null, label, sub && h('small', null, sub)),
  isCheck && icon('check', 'icon--check'),
  key && h('span', { class: 'menu__key', 'aria-hidden': 'true' }, key));
}

/**
 * Items of which one is chosen.
 * @template {{ id: string, label: string }} T
 * @param {T[]} options @param {string} chosen @param {(id: string) => void} choose
 */
export const choices = (options, chosen, choose) => options.map(({ id, label }) => item({
  label, role: 'menuitemradio', checked: id === chosen, onclick: () => choose(id),
}));

/** @param {string} label @param {...any} kids */
export function menu(label, ...kids) {
  const m = h('div', {
    class: 'pop pop--sheet menu', popover: 'auto', role: 'menu', 'aria-label': label,
  }, kids);
  rove(m);
  return m;
}

/**
 * A menu with something above it that is not a menu item (a level, a volume slider).
 * @param {string} label @param {HTMLElement | false | null} before @param {...any} kids
 */
export function popMenu(label, before, ...kids) {
  if (!before) return menu(label, ...kids);
  const m = h('div', { role: 'menu', 'aria-label': label }, kids);
  const pop = h('div', {
    class: 'pop pop--sheet menu', popover: 'auto', role: 'dialog', 'aria-label': label,
  }, before, h('hr'), m);
  rove(m);
  return pop;
}
