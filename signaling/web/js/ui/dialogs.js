// The dialogs of the meeting. The settings have a file of their own.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { button, copyRow, field, hint, toggle } from './controls.js';
import { dialog, show } from './dialog.js';

/** Closes the dialog that a button is in. @param {MouseEvent} e */
const close = (e) => /** @type {HTMLElement} */ (e.currentTarget).closest('dialog')?.close();

/**
 * A question; the safe answer has the focus.
 * @param {string} title @param {string} text @param {string} yes @param {string} cls @param {() => void} run
 */
function ask(title, text, yes, cls, run) {
  show(dialog({
    title,
    body: h('p', null, text),
    foot: [button(t('c.cancel'), '', close), button(yes, cls, (e) => { close(e); run(); })],
  }));
}

export function openInvite() {
  const { title, url, locked } = store.state.room;
  const mail = `mailto:?subject=${encodeURIComponent(title)}&body=${encodeURIComponent(url)}`;
  show(dialog({
    title: t('m.invite'),
    body: [
      h('div', { class: 'field' }, h('span', { class: 'label' }, t('i.link')), copyRow(url, t('i.link'))),
      locked && hint('', 'lock', t('s.pwD')),
    ],
    foot: [h('a', { class: 'btn', href: mail }, icon('mail'), t('i.mail')), button(t('c.done'), 'btn--primary', close)],
  }));
}

export function openSecurity() {
  const { locked } = store.state.room;
  const input = h('input', { class: 'input', id: 'roompw', type: 'text', autocomplete: 'off', maxlength: 100 });
  const set = button(t('s.set'), 'btn--primary', (e) => {
    if (!input.value) { input.focus(); return; }
    close(e);
    void app.setPassword(input.value);
  });
  input.addEventListener('keydown', (e) => { if (e.key === 'Enter') set.click(); });
  const remove = button(t('s.remove'), 'btn--line', (e) => { close(e); void app.setPassword(''); });
  show(dialog({
    title: t('m.security'),
    body: [
      field('roompw', t('s.pw'), h('div', { class: 'sets__row' }, input, set), hint('', 'info', t('s.pwD'))),
      locked && h('div', { class: 'field' }, hint('good', 'lock', t('s.isLocked')), remove),
      hint('info', 'shield', t('s.note')),
    ],
    foot: [button(t('c.done'), '', close)],
  }));
}

/** @param {string} id @param {string} name */
export function askKick(id, name) {
  ask(t('u.kickT', { name }), t('u.kickD'), t('u.kickGo'), 'btn--danger', () => { void app.kick(id); });
}

export function askMuteAll() {
  ask(t('u.muteAllT'), t('u.muteAllD'), t('u.muteAll'), 'btn--primary', () => { void app.muteAll('audio'); });
}

export function openQuality() {
  /** @type {[number, string][]} */
  const limits = [[0, 'm.qAuto'], [360, 'm.qStd'], [180, 'm.qLow']];
  const { maxHeight } = store.state.view;
  show(dialog({
    title: t('m.quality'),
    body: h('div', { role: 'radiogroup', 'aria-label': t('m.quality') }, limits.map(([height, key]) => h('label', { class: 'radio' },
      h('input', {
        type: 'radio', name: 'quality', checked: height === maxHeight, onchange: () => app.setQuality(height),
      }), t(key)))),
    foot: [button(t('c.done'), '', close)],
  }));
}

const KEYS = [['M', 'k.M'], ['V', 'k.V'], ['Space', 'k.Space'], ['D', 'k.D'], ['R', 'k.R'], ['C', 'k.C'],
  ['P', 'k.P'], ['W', 'k.W'], ['F', 'k.F'], ['S', 'k.S'], ['A', 'k.A'], ['0', 'k.0'], ['1–9', 'k.1'],
  ['?', 'k.q'], ['F6', 'k.F6'], ['Esc', 'k.Esc']];

export function openKeys() {
  show(dialog({
    title: t('k.title'),
    size: 'dlg--mid',
    body: [
      toggle(t('k.on'), t('k.onD'), store.state.switches.keys, (on) => app.setSwitch('keys', on)),
      h('div', { class: 'keys' }, KEYS.map(([key, label = '']) => h('div', null,
        h('span', null, t(label)), h('span', null, h('kbd', null, key === 'Space' ? t('k.space') : key))))),
    ],
  }));
}
