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
 * @property {boolean} [disabled]
 */

/** @param {Item} of */
export function item({ ic, label, key, onclick, danger, checked, role = 'menuitem', sub, disabled }) {
  const isCheck = checked !== undefined;
  return h('button', {
    type: 'button',
    class: `menu__item ${danger ? 'menu__item--danger' : ''}`,
    role: isCheck && role === 'menuitem' ? 'menuitemcheckbox' : role,
    'aria-checked': isCheck ? String(checked) : null,
    'aria-disabled': disabled ? 'true' : null,
    onclick: () => { if (!disabled) onclick?.(); },
  }, ic && icon(ic), h('span', null, label, sub && h('small', null, sub)),
  isCheck && icon('check', 'icon--check'),
  key && h('span', { class: 'menu__key', 'aria-hidden': 'true' }, key));
}

/** Closes the pop-over when one of its plain or radio items is chosen. @param {HTMLElement} pop @param {HTMLElement} items */
function closeOnChoice(pop, items) {
  items.addEventListener('click', (e) => {
    const chosen = /** @type {Element} */ (e.target)
      .closest('[role="menuitem"]:not([aria-disabled="true"]), [role="menuitemradio"]');
    if (chosen) pop.hidePopover();
  });
}

/** @param {string} label @param {...any} kids */
export function menu(label, ...kids) {
  const m = h('div', {
    class: 'pop pop--sheet menu', popover: 'auto', role: 'menu', 'aria-label': label,
  }, kids);
  rove(m);
  closeOnChoice(m, m);
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
  closeOnChoice(pop, m);
  return pop;
}
