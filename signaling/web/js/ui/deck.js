// The bar of controls. The buttons are made once; states change their label, icon and class.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { ctl, inputControl, setControl } from './controls.js';
import { cameraMenu, micMenu, moreMenu } from './deck-menus.js';
import { openInvite } from './dialogs.js';
import { toggleInput } from './devices.js';
import { watchControls } from './overflow.js';

/** @typedef {{ panel: (which: 'chat' | 'people') => void, open: () => string | null }} DeckActions */

export const toggleShare = () => {
  void (store.state.self.screen.on ? app.stopScreen() : app.startScreen());
};
export const toggleView = () => app.setView(store.state.view.mode === 'tile' ? 'stage' : 'tile');
export const toggleHand = () => app.raiseHand(store.state.self.hand === null);

/** The button with the name of the room; it opens the invitation. */
export function roomButton() {
  const lock = icon('lock', 'icon--xs');
  const name = h('span', { class: 'ellipsis' });
  const el = h('button', { class: 'roombtn', type: 'button', 'aria-haspopup': 'dialog', onclick: openInvite },
    icon('logo', 'roombtn__logo'), name, lock);
  const update = () => {
    const { title, locked } = store.state.room;
    name.textContent = title;
    lock.toggleAttribute('hidden', !locked);
    el.setAttribute('aria-label', `${t('m.info')}: ${title}${locked ? `, ${t('m.locked')}` : ''}`);
  };
  update();
  return { el, update };
}

/** Hours, minutes and seconds of the stay. @param {number} since */
function clock(since) {
  const seconds = since ? Math.max(0, Math.floor((Date.now() - since) / 1000)) : 0;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const tail = `${String(minutes).padStart(hours ? 2 : 1, '0')}:${String(seconds % 60).padStart(2, '0')}`;
  return hours ? `${hours}:${tail}` : tail;
}

export class Deck {
  /** @param {DeckActions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Set<string>} controls that have no room */
    this.hidden = new Set();
    /** @param {MouseEvent} e */
    const anchor = (e) => /** @type {HTMLElement} */ (e.currentTarget);
    this.buttons = {
      mic: ctl('mic', () => toggleInput('mic')),
      micMenu: ctl('mic-menu', (e) => micMenu(anchor(e)), { popup: true }),
      cam: ctl('cam', () => toggleInput('camera')),
      camMenu: ctl('cam-menu', (e) => cameraMenu(anchor(e)), { popup: true }),
      share: ctl('share', toggleShare, { prio: 4 }),
      hand: ctl('hand', toggleHand, { prio: 2 }),
      leave: ctl('leave', () => app.leave(), { prio: 0 }),
      view: ctl('view', toggleView, { prio: 7 }),
      people: ctl('people', () => actions.panel('people'), { prio: 5 }),
      chat: ctl('chat', () => actions.panel('chat'), { prio: 1 }),
      more: ctl('more', (e) => moreMenu(anchor(e), this.hidden, (id) => this.control(id)), { popup: true }),
    };
    const b = this.buttons;
    // a long press, for phones, where the halves with the arrow have no room
    for (const [button, open] of /** @type {const} */ ([[b.mic, micMenu], [b.cam, cameraMenu]])) {
      button.addEventListener('contextmenu', (e) => { e.preventDefault(); open(button); });
    }
    b.hand.toggleAttribute('data-hot', true);
    /** @param {string} id @param {HTMLElement} main @param {HTMLElement} options */
    const split = (id, main, options) => h('span', { class: 'split', data: { ctl: `${id}-split`, prio: 0 } }, main, options);
    this.room = roomButton();
    this.clock = h('span', { class: 'muted num sm', role: 'timer', 'aria-live': 'off' });
    this.el = h('section', { class: 'deck', id: 'deck', tabindex: '-1' },
      h('div', { class: 'deck__info' }, this.room.el, this.clock),
      h('div', { class: 'deck__mid' }, split('mic', b.mic, b.micMenu), split('cam', b.cam, b.camMenu),
        h('span', { class: 'gap' }), b.share, b.hand, h('span', { class: 'gap' }), b.leave),
      h('div', { class: 'deck__end' }, b.view, b.people, b.chat, b.more));
    this.ends = ['self', 'chat', 'people', 'view', 'room', 'connection']
      .map((topic) => store.on(topic, () => this.update()));
    const timer = setInterval(() => this.tick(), 1000);
    this.ends.push(() => { clearInterval(timer); return true; });
    this.update();
  }

  /** After it is in the document. */
  watch() {
    /** @type {Record<string, HTMLElement>} */
    const buttons = this.buttons;
    watchControls(this.el, (shown, isPhone) => {
      for (const id of ['share', 'hand', 'view', 'people', 'chat']) {
        const button = buttons[id];
        if (button) button.hidden = !shown.has(id);
        if (shown.has(id)) this.hidden.delete(id); else this.hidden.add(id);
      }
      this.buttons.micMenu.hidden = isPhone;
      this.buttons.camMenu.hidden = isPhone;
    });
  }

  close() { for (const end of this.ends) end(); }

  tick() {
    if (!document.hidden) this.clock.textContent = clock(store.state.room.since);
  }

  /** A control as an item of More. @param {string} id */
  control(id) {
    const { self, view, people, chat } = store.state;
    const isTile = view.mode === 'tile';
    const all = {
      share: {
        ic: self.screen.on ? 'stop-screen' : 'screen', key: 'D', run: toggleShare,
        label: t(self.screen.on ? 'm.unshare' : 'm.share'),
      },
      hand: {
        ic: self.hand === null ? 'hand' : 'hand-raised', key: 'R', run: toggleHand,
        label: t(self.hand === null ? 'm.hand' : 'm.unhand'),
      },
      view: {
        ic: isTile ? 'stage' : 'tile', key: 'W', run: toggleView, label: t(isTile ? 'm.toStage' : 'm.toTile'),
      },
      people: {
        ic: 'people', key: 'P', run: () => this.actions.panel('people'),
        label: `${t('m.people')}, ${people.size + 1}`,
      },
      chat: {
        ic: 'chat', key: 'C', run: () => this.actions.panel('chat'),
        label: chat.unread ? `${t('m.chat')}, ${t('h.unread', { n: chat.unread })}` : t('m.chat'),
      },
    };
    return all[/** @type {keyof typeof all} */ (id)];
  }

  update() {
    const { self, people, chat, view } = store.state;
    const b = this.buttons;
    this.el.setAttribute('aria-label', t('m.controls'));
    this.room.update();
    this.tick();
    const mic = inputControl('mic');
    const camera = inputControl('camera');
    setControl(b.mic, mic);
    setControl(b.micMenu, { ic: 'chevron-up', label: t('m.micOpts'), cls: mic.cls ?? '' });
    setControl(b.cam, camera);
    setControl(b.camMenu, { ic: view.hideSelf ? 'eye-off' : 'chevron-up', label: t('m.camOpts'), cls: camera.cls ?? '' });
    setControl(b.share, { ...this.control('share'), cls: self.screen.on ? 'is-on' : '' });
    setControl(b.hand, { ...this.control('hand'), pressed: self.hand !== null });
    setControl(b.leave, { ic: 'leave', label: t('m.leave'), cls: 'ctl--leave' });
    setControl(b.view, this.control('view'));
    setControl(b.people, {
      ...this.control('people'), badge: people.size + 1, badgeCls: 'ctl__badge--count',
      pressed: this.actions.open() === 'people',
    });
    setControl(b.chat, {
      ic: 'chat', key: 'C', label: t('m.chat'), pressed: this.actions.open() === 'chat',
      badge: chat.unread > 9 ? '9+' : chat.unread,
    });
    setControl(b.more, { ic: 'more', label: t('m.more'), cls: 'ctl--more' });
  }
}
