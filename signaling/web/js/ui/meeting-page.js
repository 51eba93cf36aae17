// The page of the meeting: stage, bar, panel and what lies over them.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { say } from './announce.js';
import { Banner } from './banner.js';
import { copyRow } from './controls.js';
import { Deck } from './deck.js';
import { openInvite } from './dialogs.js';
import { watchFullScreen } from './full-screen.js';
import { Head } from './head.js';
import { Keys } from './keys.js';
import { Notices } from './notices.js';
import { Panel } from './panel.js';
import { personMenu } from './person-menu.js';
import { play } from './sounds.js';
import { Stage } from './stage.js';
import { openStats } from './stats-pop.js';
import { nameOf } from './tile.js';

const SAID_LENGTH = 120;

export class MeetingPage {
  constructor() {
    /** @type {Panel} */
    this.panel = new Panel(() => this.deck.update(), () => [this.head.el, this.stage.el, this.deck.el]);
    /** @param {'chat' | 'people'} which */
    const toggle = (which) => this.panel.toggle(which);
    this.stage = new Stage({
      pin: ({ source }) => app.pin(store.state.view.pinned === source ? null : source),
      menu: (anchor, { id, source }) => personMenu(anchor, id, source),
      stats: (anchor, { id }) => openStats(anchor, id),
      people: () => this.panel.open('people'),
    });
    this.notices = new Notices();
    this.alone = h('section', { class: 'alone', hidden: true });
    this.stage.el.append(this.alone, this.notices.el);
    this.banner = new Banner();
    this.skip = h('a', { class: 'skip', href: '#deck' });
    this.head = new Head();
    this.deck = this.makeDeck();
    this.keys = new Keys({
      panel: toggle, closePanel: () => this.panel.close(), strip: () => this.stage.toggleStrip(),
      sourceOf: (n) => this.stage.sourceOf(n), turn: (step) => this.stage.turn(step),
    });
    document.body.className = 'meet';
    document.body.replaceChildren(this.skip, this.banner.el, this.head.el, this.stage.el, this.panel.el,
      this.deck.el, h('div', { class: 'vh', role: 'status', 'aria-live': 'polite', id: 'say' }),
      h('div', { class: 'vh', role: 'alert', id: 'alert' }));
    this.deck.watch();
    this.seen = store.state.chat.messages.length;
    this.ends = [
      watchFullScreen(),
      store.on('people', () => this.drawAlone()),
      store.on('page', () => this.drawAlone()),
      store.on('chat', () => this.messages()),
    ];
    this.draw();
  }

  /** @returns {Deck} */
  makeDeck() {
    return new Deck({ panel: (which) => this.panel.toggle(which), open: () => this.panel.which });
  }

  close() {
    for (const part of [this.stage, this.deck, this.head, this.notices, this.banner, this.keys]) part.close();
    this.panel.end();
    for (const end of this.ends) end();
  }

  draw() {
    this.skip.textContent = t('c.skip');
    this.drawAlone();
    this.drawTitle();
  }

  drawAlone() {
    const isAlone = store.state.people.size === 0 && store.state.page === 'meeting';
    const key = isAlone ? t('m.alone') : '';
    if (this.alone.dataset.key === key) return;
    this.alone.dataset.key = key;
    this.alone.hidden = !isAlone;
    this.alone.setAttribute('aria-label', t('m.invite'));
    if (!isAlone) { this.alone.replaceChildren(); return; }
    this.alone.replaceChildren(
      h('div', null, h('h2', null, t('m.alone')), h('p', null, t('m.aloneD'))),
      copyRow(store.state.room.url, t('i.link')),
      h('div', { class: 'alone__row' }, h('button', { class: 'btn btn--sm', type: 'button', onclick: openInvite },
        icon('person-add'), t('m.invite'))));
  }

  drawTitle() {
    const { unread } = store.state.chat;
    document.title = `${unread ? `(${unread}) ` : ''}${store.state.room.title} · Trestle`;
  }

  messages() {
    const { messages, open } = store.state.chat;
    this.drawTitle();
    for (const m of messages.slice(this.seen)) {
      if (m.own || open) continue;
      const name = nameOf(store.state.people.get(m.from) ?? m);
      say(`${name}: ${m.text.slice(0, SAID_LENGTH)}`);
      if (store.state.switches.soundMessage) play('message');
    }
    this.seen = messages.length;
  }

  /** In another language: everything but the tiles is made again. */
  redraw() {
    const { head, deck } = this;
    for (const part of [head, deck]) part.close();
    this.head = new Head();
    this.deck = this.makeDeck();
    head.el.replaceWith(this.head.el);
    deck.el.replaceWith(this.deck.el);
    this.deck.watch();
    this.notices.label();
    this.stage.draw();
    this.panel.redraw();
    this.draw();
  }
}
