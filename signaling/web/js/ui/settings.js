// The settings: a dialog with four tabs.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { getLang, setLang, t } from '../i18n.js';
import { store } from '../store.js';
import { button, field, liveMeter, select, toggle } from './controls.js';
import { DEVICE_LABELS, deviceSelect } from './devices.js';
import { dialog, show } from './dialog.js';
import { rove } from './popover.js';
import { play } from './sounds.js';

/** @typedef {'sound' | 'video' | 'notif' | 'general'} Tab */

const ICONS = { sound: 'mic', video: 'camera', notif: 'bell', general: 'settings' };
const TABS = /** @type {Tab[]} */ (Object.keys(ICONS));
export const LANGUAGES = [{ id: 'en', label: 'English' }, { id: 'ru', label: 'Русский' }];
export const THEMES = ['auto', 'light', 'dark'];

/** @returns {{ get: () => string, set: (name: string) => void }} as boot.js has it */
export const theme = () => /** @type {any} */ (window).trestleTheme;

/** @param {keyof import('../saved.js').Switches} name @param {string} label @param {string} [small] */
const switchFor = (name, label, small) => toggle(t(label), small ? t(small) : null,
  store.state.switches[name], (on) => app.setSwitch(name, on));

/** A labelled list of devices that follows what is plugged in. @param {import('./devices.js').Kind} kind @param {...any} more */
function devices(kind, ...more) {
  const { el, fill } = deviceSelect(kind, `set-${kind}`, false);
  const end = store.on('devices', () => { if (el.isConnected) fill(); else end(); });
  const row = more.length > 0 ? h('div', { class: 'sets__row' }, el, more) : el;
  return field(`set-${kind}`, t(DEVICE_LABELS[kind]), row);
}

function preview() {
  const video = h('video', { autoplay: true, playsinline: true, 'aria-hidden': 'true' });
  video.muted = true;
  const box = h('div', { class: 'sets__prev' }, video);
  const draw = () => {
    const { track } = store.state.self.camera;
    const now = /** @type {MediaStream | null} */ (video.srcObject)?.getTracks()[0] ?? null;
    if (now !== track) video.srcObject = track ? new MediaStream([track]) : null;
    box.hidden = track === null;
    box.classList.toggle('is-plain', !store.state.switches.mirror);
  };
  const ends = ['self', 'switches'].map((topic) => store.on(topic, () => {
    if (box.isConnected) draw(); else ends.forEach((end) => end());
  }));
  draw();
  return box;
}

function quality() {
  const list = select('set-quality', '', null, (height) => app.setQuality(Number(height)));
  list.set([{ id: '0', label: t('m.qAuto') }, { id: '360', label: t('m.qStd') }, { id: '180', label: t('m.qLow') }],
    String(store.state.view.maxHeight));
  return field('set-quality', t('m.quality'), list.el);
}

function name() {
  const input = h('input', {
    class: 'input', id: 'set-name', maxlength: 60, autocomplete: 'name', value: store.state.self.name,
    onchange: () => app.setName(input.value),
  });
  return field('set-name', t('p.name'), input);
}

function appearance() {
  const list = select('set-theme', 'contrast', null, (id) => theme().set(id));
  list.set(THEMES.map((id) => ({ id, label: t(`theme.${id}`) })), theme().get());
  return field('set-theme', t('theme.label'), list.el);
}

function language() {
  const list = select('set-lang', 'language', null, async (id) => {
    await setLang(id);
    openSettings('general', 'set-lang'); // in the new language
  });
  list.set(LANGUAGES, getLang());
  return field('set-lang', t('c.language'), list.el);
}

/** @type {Record<Tab, () => any[]>} */
const PAGES = {
  sound: () => [devices('mic'), h('div', null, liveMeter(24)),
    devices('speaker', button(t('p.test'), '', () => play('test'))),
    switchFor('noise', 'm.noise'), switchFor('talk', 'm.ptt')],
  video: () => [preview(), devices('camera'), quality(), switchFor('mirror', 'm.mirror'),
    toggle(t('m.selfHide'), null, store.state.view.hideSelf, (on) => app.hideSelf(on))],
  notif: () => [h('p', { class: 'label' }, t('g.soundsD')), switchFor('soundJoin', 'g.join'),
    switchFor('soundMessage', 'g.msg'), switchFor('soundHand', 'g.handN')],
  general: () => [name(), language(), appearance(), switchFor('keys', 'g.keys', 'g.keysD'),
    switchFor('forget', 'g.forget')],
};

/** @type {HTMLDialogElement | null} */
let open = null;

/** @param {Tab} [which] @param {string} [focus] id of a field to begin with */
export function openSettings(which = 'sound', focus) {
  open?.close();
  open?.remove(); // its fields have the same ids
  const body = h('div', { class: 'sets__body', role: 'tabpanel', id: 'setspage', tabindex: '0' });
  /** @param {Tab} tab */
  const put = (tab) => {
    body.setAttribute('aria-labelledby', `tab-${tab}`);
    body.replaceChildren(...PAGES[tab]());
    for (const el of nav.children) {
      const isOn = el.id === `tab-${tab}`;
      el.setAttribute('aria-selected', String(isOn));
      /** @type {HTMLElement} */ (el).tabIndex = isOn ? 0 : -1;
      if (isOn) el.scrollIntoView({ block: 'nearest', inline: 'nearest' }); // the tabs of a phone scroll
    }
  };
  const nav = h('div', { class: 'sets__nav', role: 'tablist', 'aria-label': t('c.settings') }, TABS.map((tab) => h('button', {
    type: 'button', role: 'tab', id: `tab-${tab}`, 'aria-controls': 'setspage', onclick: () => put(tab),
    onfocus: () => put(tab),
  }, icon(ICONS[tab]), t(`g.${tab}`))));
  rove(nav);
  put(which);
  open = show(dialog({
    title: t('c.settings'), size: 'dlg--wide', flush: true, body: h('div', { class: 'sets' }, nav, body),
  }));
  if (focus) document.getElementById(focus)?.focus();
}
