// The bar of controls. The buttons are made once; states change their label, icon and class.
import * as app from '../app.js';
import { h, icon, setIcon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { watchControls } from './overflow.js';

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

/** @param {string} id @param {() => void} run @param {number} [prio] */
function ctl(id, run, prio) {
  return h('button', {
    type: 'button', class: 'ctl', id: `ctl-${id}`, onclick: run,
    data: { ctl: id, action: id, ...(prio === undefined ? {} : { prio }) },
  }, icon('more'));
}

/** Shows a state on a button. @param {HTMLElement} button @param {Control} c */
export function setControl(button, { ic, label, key, cls = '', pressed, busy, mark, badge, badgeCls = '' }) {
  setIcon(button, ic);
  button.className = `ctl ${cls}`;
  button.setAttribute('aria-label', badge && !badgeCls ? `${label}, ${t('h.unread', { n: badge })}` : label);
  button.dataset.tip = label;
  if (key) { button.dataset.key = key; button.setAttribute('aria-keyshortcuts', key); }
  if (pressed !== undefined) button.setAttribute('aria-pressed', String(pressed));
  button.toggleAttribute('aria-busy', busy === true);
  const extra = badge ? String(badge) : mark ? '!' : '';
  const shown = button.querySelector('.ctl__badge, .ctl__mark');
  if (!extra) { shown?.remove(); return; }
  const next = h('span', { class: badge ? `ctl__badge ${badgeCls}` : 'ctl__mark', 'aria-hidden': 'true' }, extra);
  if (shown) shown.replaceWith(next); else button.append(next);
}

/** @typedef {{ panel: (which: 'chat' | 'people') => void, open: () => string | null }} DeckActions */

export class Deck {
  /** @param {DeckActions} actions */
  constructor(actions) {
    this.actions = actions;
    const { state } = store;
    this.buttons = {
      mic: ctl('mic', () => app.setMic(!state.self.mic.on), 0),
      camera: ctl('camera', () => app.setCamera(!state.self.camera.on), 0),
      share: ctl('share', () => (state.self.screen.on ? app.stopScreen() : app.startScreen()), 4),
      hand: ctl('hand', () => app.raiseHand(state.self.hand === null), 2),
      leave: ctl('leave', () => app.leave(), 0),
      view: ctl('view', () => app.setView(state.view.mode === 'tile' ? 'stage' : 'tile'), 7),
      people: ctl('people', () => actions.panel('people'), 5),
      chat: ctl('chat', () => actions.panel('chat'), 1),
    };
    const b = this.buttons;
    this.el = h('section', { class: 'deck', id: 'deck', tabindex: '-1', 'aria-label': t('m.controls') },
      h('div', { class: 'deck__info' },
        h('span', { class: 'roombtn' }, icon('logo', 'roombtn__logo'),
          h('span', { class: 'ellipsis' }, state.room.title))),
      h('div', { class: 'deck__mid' }, b.mic, b.camera, h('span', { class: 'gap' }), b.share, b.hand,
        h('span', { class: 'gap' }), b.leave),
      h('div', { class: 'deck__end' }, b.view, b.people, b.chat));
    this.ends = ['self', 'chat', 'people', 'view'].map((topic) => store.on(topic, () => this.update()));
    this.update();
  }

  /** After it is in the document. */
  watch() {
    watchControls(this.el, (shown) => {
      for (const [id, button] of Object.entries(this.buttons)) button.hidden = !shown.has(id);
    });
  }

  close() { for (const end of this.ends) end(); }

  update() {
    const { self, people, chat, view } = store.state;
    const { mic, camera, screen } = self;
    const b = this.buttons;
    setControl(b.mic, {
      ic: mic.on ? 'mic' : 'mic-off', key: 'M', label: t(mic.on ? 'm.mute' : 'm.unmute'),
      cls: mic.problem ? 'is-problem' : mic.on ? '' : 'is-off', busy: mic.busy, mark: mic.problem !== null,
    });
    setControl(b.camera, {
      ic: camera.on ? 'camera' : 'camera-off', key: 'V', label: t(camera.on ? 'm.camOff' : 'm.camOn'),
      cls: camera.problem ? 'is-problem' : camera.on ? '' : 'is-off', busy: camera.busy,
      mark: camera.problem !== null,
    });
    setControl(b.share, {
      ic: screen.on ? 'stop-screen' : 'screen', key: 'D', cls: screen.on ? 'is-on' : '',
      label: t(screen.on ? 'm.unshare' : 'm.share'),
    });
    const isUp = self.hand !== null;
    b.hand.toggleAttribute('data-hot', true);
    setControl(b.hand, {
      ic: isUp ? 'hand-raised' : 'hand', key: 'R', label: t(isUp ? 'm.unhand' : 'm.hand'), pressed: isUp,
    });
    setControl(b.leave, { ic: 'leave', label: t('m.leave'), cls: 'ctl--leave' });
    const isTile = view.mode === 'tile';
    setControl(b.view, {
      ic: isTile ? 'stage' : 'tile', key: 'W', label: t(isTile ? 'm.toStage' : 'm.toTile'),
    });
    const count = people.size + 1;
    setControl(b.people, {
      ic: 'people', key: 'P', label: `${t('m.people')}, ${count}`, badge: count,
      badgeCls: 'ctl__badge--count', pressed: this.actions.open() === 'people',
    });
    setControl(b.chat, {
      ic: 'chat', key: 'C', label: t('m.chat'), pressed: this.actions.open() === 'chat',
      badge: chat.unread > 9 ? '9+' : chat.unread,
    });
  }
}
