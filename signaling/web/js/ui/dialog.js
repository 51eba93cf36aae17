// Dialogs are native <dialog>: focus trap, inert background, Esc and focus return are the browser's. Final.
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { sheet } from './sheet.js';

let n = 0;
/**
 * Build a dialog. `foot` is a list of buttons, the primary one last.
 * @param {{ title: string, body: any, foot?: any, size?: string, closable?: boolean, flush?: boolean }} what
 * @returns {HTMLDialogElement}
 */
export function dialog({ title, body, foot, size = '', closable = true, flush = false }) {
  const id = `dlg${++n}`;
  /** @type {HTMLDialogElement} */
  const dlg = h('dialog', { class: `dlg ${size}`, 'aria-labelledby': id },
    h('div', { class: 'dlg__head' }, h('h2', { id }, title), closable && h('button', { class: 'ibtn', type: 'button', 'aria-label': t('c.close'), onclick: () => dlg.close() }, icon('close'))),
    flush ? body : h('div', { class: 'dlg__body' }, body),
    foot && h('div', { class: 'dlg__foot' }, foot));
  if (!closable) dlg.addEventListener('cancel', (e) => e.preventDefault());
  else {
    dlg.addEventListener('click', (e) => { if (e.target === dlg) dlg.close(); });
    sheet(dlg, () => dlg.close());
  }
  return dlg;
}

/** @param {HTMLDialogElement} dlg */
export function show(dlg) {
  document.body.append(dlg);
  dlg.addEventListener('close', () => dlg.remove(), { once: true });
  dlg.showModal();
  // first field or selected tab; in a question the safe answer; never the close button
  /** @type {HTMLElement | null} */ (dlg.querySelector('[role="tab"][aria-selected="true"]') ?? dlg.querySelector('.dlg__body :is(input, select, textarea)') ?? dlg.querySelector('.dlg__foot .btn'))?.focus();
  return dlg;
}
