// The chat in the panel: the log, which follows its end, and the composer.
import { say, sayAgain } from '../app.js';
import { h, icon } from '../dom.js';
import { getLang, t } from '../i18n.js';
import { store } from '../store.js';
import { parts } from './links.js';
import { avatar, nameOf } from './tile.js';

/** @typedef {import('../store.js').Message} Message */

const SAME_HEAD = 3 * 60_000;
const NEAR_END = 40;

/** Text with its links; both from text nodes only. @param {string} text */
const linked = (text) => parts(text).map((part) => (part.isLink
  ? h('a', { href: part.text, rel: 'noopener noreferrer nofollow', target: '_blank' }, part.text) : part.text));

/** Whether a message begins a run of one person. @param {Message} m @param {Message | undefined} before */
export function isFirst(m, before) {
  return !before || before.from !== m.from || m.at - before.at > SAME_HEAD;
}

/** @param {Message} m @param {boolean} first */
function draw(m, first) {
  const now = store.state.people.get(m.from);
  const who = { id: m.from, name: (m.own ? store.state.self.name : now?.name) || m.name };
  const name = m.own ? `${nameOf(who)} (${t('c.you')})` : nameOf(who);
  const time = new Date(m.at).toLocaleTimeString(getLang(), { hour: 'numeric', minute: '2-digit' });
  return h('div', { class: `msg ${first ? 'msg--first' : ''} ${m.state === 'pending' ? 'is-pending' : ''}`, data: { id: m.id } },
    first ? avatar(who, 'ava--sm') : h('span'),
    first ? h('div', { class: 'msg__head' }, h('b', null, name), h('time', null, time))
      : h('span', { class: 'vh' }, name),
    h('div', { class: 'msg__text' }, linked(m.text)),
    m.state === 'failed' && h('button',
      { class: 'msg__fail', type: 'button', onclick: () => sayAgain(m.id) }, t('h.fail')));
}

class ChatLog {
  constructor() {
    /** @type {Map<string, { el: HTMLElement, key: string }>} by message */
    this.drawn = new Map();
    /** The first message that was not read when the panel opened. */
    this.firstNew = store.state.chat.unread > 0
      ? store.state.chat.messages.at(-store.state.chat.unread)?.id ?? '' : '';
    this.log = h('div', { class: 'log', role: 'log', 'aria-label': t('h.log'), tabindex: '-1' });
    this.empty = h('div', { class: 'empty' }, icon('chat'), h('b', null, t('h.empty')), h('p', null, t('h.emptyD')));
    this.down = h('button', {
      class: 'btn btn--sm btn--primary tolast', type: 'button', hidden: true, onclick: () => this.toEnd(),
    }, icon('chevron-down'), t('h.new'));
    this.el = h('div', { class: 'logbox' }, this.empty, this.log, this.down);
  }

  /** What scrolls is the body of the panel. @returns {HTMLElement | null} */
  get scroller() { return this.el.parentElement; }

  isAtEnd() {
    const box = this.scroller;
    return !box || box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
  }

  toEnd() {
    this.down.hidden = true;
    if (this.scroller) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  fill() {
    const { messages } = store.state.chat;
    const wasAtEnd = this.isAtEnd();
    const before = this.drawn.size;
    this.empty.hidden = messages.length > 0;
    messages.forEach((m, i) => this.put(m, isFirst(m, messages[i - 1])));
    const last = messages.at(-1);
    if (wasAtEnd || (messages.length > before && last?.own)) this.toEnd();
    else if (messages.length > before) this.down.hidden = false;
  }

  /** @param {Message} m @param {boolean} first */
  put(m, first) {
    const known = this.drawn.get(m.id);
    const key = `${m.state} ${first}`;
    if (known?.key === key) return;
    const el = draw(m, first);
    if (known) known.el.replaceWith(el);
    else {
      if (m.id === this.firstNew) this.log.append(h('div', { class: 'newline' }, t('h.new')));
      this.log.append(el);
    }
    this.drawn.set(m.id, { el, key });
  }
}

/** @returns {import('./panel.js').PanelContent} */
export function chatPanel() {
  const log = new ChatLog();
  const input = h('textarea', {
    class: 'input', id: 'message', rows: 1, maxlength: 4000, 'aria-label': t('h.ph'), placeholder: t('h.ph'),
  });
  const grow = () => {
    input.style.blockSize = 'auto';
    input.style.blockSize = `${input.scrollHeight + 2}px`;
  };
  const send = () => { say(input.value); input.value = ''; grow(); };
  input.addEventListener('input', grow);
  input.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    send();
  });
  const foot = h('form', {
    class: 'panel__foot composer',
    onsubmit: (/** @type {SubmitEvent} */ e) => { e.preventDefault(); send(); },
  }, h('div', { class: 'composer__row' }, input,
    h('button', { class: 'btn btn--primary', type: 'submit', 'aria-label': t('h.send') }, icon('send'))));
  const end = store.on('chat', () => log.fill());
  log.fill();
  return {
    body: log.el, foot, close: () => end(),
    focus: () => { input.focus(); log.toEnd(); },
  };
}
