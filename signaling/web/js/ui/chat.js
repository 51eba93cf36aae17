// The chat in the panel: the log and the composer.
import { say, sayAgain } from '../app.js';
import { h, icon } from '../dom.js';
import { getLang, t } from '../i18n.js';
import { store } from '../store.js';
import { avatar, nameOf } from './tile.js';

const SAME_HEAD = 3 * 60_000;
const LINK = /https?:\/\/[^\s<>"]+/g;

/** Text with its links; both from text nodes only. @param {string} text */
export function linked(text) {
  const out = [];
  let end = 0;
  for (const { 0: url, index } of text.matchAll(LINK)) {
    out.push(text.slice(end, index),
      h('a', { href: url, rel: 'noopener noreferrer nofollow', target: '_blank' }, url));
    end = index + url.length;
  }
  return [...out, text.slice(end)];
}

/** @param {import('../store.js').Message} m @param {boolean} isFirst of a run by one person */
function message(m, isFirst) {
  const now = store.state.people.get(m.from);
  const who = { id: m.from, name: now?.name || m.name };
  const name = m.own ? `${nameOf(who)} (${t('c.you')})` : nameOf(who);
  const time = new Date(m.at).toLocaleTimeString(getLang(), { hour: 'numeric', minute: '2-digit' });
  return h('div', { class: `msg ${isFirst ? 'msg--first' : ''}` },
    isFirst ? avatar(who, 'ava--sm') : h('span'),
    isFirst ? h('div', { class: 'msg__head' }, h('b', null, name), h('time', null, time))
      : h('span', { class: 'vh' }, name),
    h('div', { class: 'msg__text' }, linked(m.text)),
    m.state === 'failed' && h('button',
      { class: 'msg__fail', type: 'button', onclick: () => sayAgain(m.id) }, t('h.fail')));
}

/** @param {HTMLElement} log */
function fill(log) {
  const { messages } = store.state.chat;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.replaceChildren(...messages.map((m, i) => {
    const before = messages[i - 1];
    return message(m, !before || before.from !== m.from || m.at - before.at > SAME_HEAD);
  }));
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

/**
 * What the panel shows of the chat.
 * @returns {{ body: HTMLElement, foot: HTMLElement, focus: () => void, close: () => void }}
 */
export function chatPanel() {
  const log = h('div', { class: 'log', role: 'log', 'aria-label': t('h.log') });
  const input = h('textarea', {
    class: 'input', rows: 1, maxlength: 4000, 'aria-label': t('h.ph'), placeholder: t('h.ph'),
  });
  const send = () => { say(input.value); input.value = ''; };
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
  const end = store.on('chat', () => fill(log));
  fill(log);
  return { body: log, foot, focus: () => input.focus(), close: end };
}
