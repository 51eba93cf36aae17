// The line on top of the stage for a connection that is lost, and for its return.
import { tryNow } from '../app.js';
import { h, icon, truss } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { alarm, say } from './announce.js';
import { lossOf } from './loss.js';

const BACK_FOR = 3000;

/** @typedef {import('./loss.js').Loss} Loss */

/** "Attempt 3, next in 8 s", or what is being done now. */
export function attemptText() {
  const { attempt, retryAt } = store.state.connection;
  const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  return retryAt ? t('z.lastTry', { n: attempt + 1, s: seconds }) : t('z.rejoin');
}

export class Banner {
  constructor() {
    this.text = h('span');
    this.sign = h('span', { class: 'banner__sign' });
    this.now = h('button', { class: 'btn btn--sm', type: 'button', onclick: tryNow });
    this.el = h('div', { class: 'banner', hidden: true }, this.sign, this.text, this.now);
    /** @type {Loss | 'back'} */
    this.shown = 'none';
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.backTimer = undefined;
    const timer = setInterval(() => this.draw(), 500);
    this.ends = [store.on('connection', () => this.draw()), () => clearInterval(timer)];
    this.draw();
  }

  close() {
    clearTimeout(this.backTimer);
    for (const end of this.ends) end();
    document.body.classList.remove('is-dim');
  }

  draw() {
    const loss = lossOf(store.state.connection, Date.now(), navigator.onLine);
    const wasLost = this.shown !== 'none' && this.shown !== 'back';
    if (loss !== 'none') {
      clearTimeout(this.backTimer);
      this.put(loss);
    } else if (wasLost && store.state.connection.state === 'joined') this.back();
    document.body.classList.toggle('is-dim', loss !== 'none');
  }

  back() {
    this.put('back');
    say(t('z.back'));
    this.backTimer = setTimeout(() => { this.shown = 'none'; this.el.hidden = true; }, BACK_FOR);
  }

  /** @param {Loss | 'back'} what */
  put(what) {
    const isNew = what !== this.shown;
    this.shown = what;
    this.el.hidden = false;
    this.el.className = `banner ${what === 'back' ? 'banner--ok' : what === 'offline' ? 'banner--bad' : ''}`;
    this.now.hidden = what !== 'counting' && what !== 'offline';
    this.now.textContent = t('z.now');
    this.text.textContent = what === 'back' ? t('z.back') : what === 'offline' ? t('z.offline')
      : what === 'counting' ? attemptText() : `${t('z.rejoin')} ${t('z.rejoinD')}`;
    if (!isNew) return;
    this.sign.replaceChildren(what === 'back' ? icon('check', 'icon--md')
      : what === 'offline' ? icon('warning', 'icon--md') : truss('truss--sm'));
    if (what === 'lost' || what === 'offline') alarm(this.text.textContent);
  }
}
