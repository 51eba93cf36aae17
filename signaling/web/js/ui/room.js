// The page of a room: before, in and after the meeting are states of it, so nothing reloads.
import * as app from '../app.js';
import { h, icon, truss } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { afterPage } from './after.js';
import { startAudio, unblockAudio } from './audio.js';
import { chatPanel } from './chat.js';
import { Deck } from './deck.js';
import { peoplePanel } from './people.js';
import { tooltips } from './popover.js';
import { Prejoin, focusName } from './prejoin.js';
import { Stage } from './stage.js';

/** @typedef {{ body: HTMLElement, foot: HTMLElement | null, focus: () => void, close: () => void }} PanelContent */

class MeetingPage {
  constructor() {
    /** @type {'chat' | 'people' | null} */
    this.open = null;
    /** @type {PanelContent | null} */
    this.content = null;
    this.panel = h('aside', { class: 'panel', id: 'panel', hidden: true });
    this.banner = h('div', { class: 'banner', role: 'status', hidden: true });
    this.stage = new Stage({ pin: ({ source }) => app.pin(store.state.view.pinned === source ? null : source) });
    this.deck = new Deck({ panel: (which) => this.toggle(which), open: () => this.open });
    this.ends = [store.on('connection', () => this.drawBanner())];
    document.body.className = 'meet';
    document.body.replaceChildren(
      h('a', { class: 'skip', href: '#deck' }, t('c.skip')), this.banner, this.stage.el, this.panel,
      this.deck.el, h('div', { class: 'vh', role: 'status', 'aria-live': 'polite', id: 'say' }),
      h('div', { class: 'vh', role: 'alert', id: 'alert' }));
    this.deck.watch();
    this.drawBanner();
  }

  close() {
    this.stage.close();
    this.deck.close();
    this.content?.close();
    for (const end of this.ends) end();
    app.openChat(false);
  }

  drawBanner() {
    const { state } = store.state.connection;
    const isLost = state === 'reconnecting';
    this.banner.hidden = !isLost;
    document.body.classList.toggle('is-dim', isLost);
    if (isLost && !this.banner.firstChild) {
      this.banner.replaceChildren(truss('truss--sm'), `${t('z.rejoin')} ${t('z.rejoinD')}`);
    }
  }

  /** @param {'chat' | 'people'} which */
  toggle(which) {
    this.content?.close();
    this.content = null;
    this.open = this.open === which ? null : which;
    this.panel.hidden = this.open === null;
    app.openChat(this.open === 'chat');
    this.deck.update();
    if (!this.open) { this.panel.replaceChildren(); return; }
    const content = this.open === 'chat' ? chatPanel() : peoplePanel();
    this.content = content;
    const title = t(`m.${this.open}`);
    this.panel.setAttribute('aria-label', title);
    this.panel.replaceChildren(
      h('div', { class: 'panel__head' }, h('h2', null, title),
        h('button', { class: 'ibtn', type: 'button', 'aria-label': t('c.close'), onclick: () => this.toggle(which) }, icon('close'))),
      h('div', { class: 'panel__body', id: 'panelbody', tabindex: '0' }, content.body),
      content.foot ?? '');
    content.focus();
  }
}

/** @type {Prejoin | MeetingPage | null} */
let page = null;
/** What is in the document: 'before', 'meeting' or 'after'. */
let shown = '';

function show() {
  const { page: wanted, after } = store.state;
  const next = wanted === 'meeting' ? 'meeting' : wanted === 'after' ? 'after' : 'before';
  if (next === shown && next !== 'after') return;
  shown = next;
  page?.close();
  page = null;
  if (next === 'meeting') { page = new MeetingPage(); return; }
  document.body.className = 'page';
  const top = h('header', { class: 'top' },
    h('a', { class: 'brand', href: '/' }, icon('logo'), 'Trestle'));
  if (after) { document.body.replaceChildren(top, afterPage(after)); return; }
  page = new Prejoin();
  document.body.replaceChildren(top, page.el);
  focusName();
}

store.on('page', show);
store.on('self', () => {
  document.documentElement.dataset.role = store.state.self.isModerator ? 'moderator' : 'participant';
});
startAudio(() => addEventListener('pointerdown', unblockAudio, { once: true }));
app.start();
tooltips();
