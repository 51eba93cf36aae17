// The side panel: one card that holds the chat or the people. On a phone it is the whole screen and
// the rest is inert.
import { openChat } from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { chatPanel } from './chat.js';
import { focusControl } from './keys.js';
import { peoplePanel } from './people.js';

/**
 * @typedef {'chat' | 'people'} Which
 * @typedef {{ body: HTMLElement, foot: HTMLElement | null, focus: () => void, close: () => void }} PanelContent
 */

export class Panel {
  /** @param {() => void} onChange @param {() => HTMLElement[]} rest of the page */
  constructor(onChange, rest) {
    this.onChange = onChange;
    this.rest = rest;
    /** @type {Which | null} */
    this.which = null;
    /** @type {PanelContent | null} */
    this.content = null;
    this.el = h('aside', { class: 'panel', id: 'panel', hidden: true });
    this.phone = matchMedia('(max-width: 639px)');
    this.block = () => {
      for (const el of this.rest()) el.inert = this.which !== null && this.phone.matches;
    };
    this.phone.addEventListener('change', this.block);
  }

  end() {
    this.phone.removeEventListener('change', this.block);
    this.content?.close();
    if (this.which === 'chat') openChat(false);
  }

  /** @param {Which} which */
  toggle(which) {
    if (this.which === which) this.close(); else this.open(which);
  }

  /** @param {Which} which */
  open(which) {
    this.el.classList.toggle('is-entering', this.which === null);
    this.content?.close();
    this.which = which;
    this.el.hidden = false;
    this.draw();
    openChat(which === 'chat');
    this.block();
    this.onChange();
    this.content?.focus();
  }

  /** @returns {boolean} whether it was open */
  close() {
    const { which } = this;
    if (which === null) return false;
    this.content?.close();
    this.content = null;
    this.which = null;
    this.el.hidden = true;
    this.el.replaceChildren();
    openChat(false);
    this.block();
    this.onChange();
    focusControl(which);
    return true;
  }

  draw() {
    const { which } = this;
    if (which === null) return;
    const content = which === 'chat' ? chatPanel() : peoplePanel();
    this.content = content;
    const title = t(`m.${which}`);
    this.el.setAttribute('aria-label', title);
    this.el.replaceChildren(
      h('div', { class: 'panel__head' }, h('h2', null, title),
        h('button', { class: 'ibtn', type: 'button', 'aria-label': t('c.close'), onclick: () => this.close() }, icon('close'))),
      h('div', { class: 'panel__body', id: 'panelbody', tabindex: '0' }, content.body),
      content.foot ?? '');
    content.focus();
  }

  /** In another language: the same panel, made again. */
  redraw() {
    this.content?.close();
    this.draw();
  }
}
