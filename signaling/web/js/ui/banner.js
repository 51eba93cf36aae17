// The line on top of the stage for a connection that is lost, and for its return.
import { tryNow } from '../app.js';
import { h, icon, truss } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { alarm, say } from './announce.js';

const QUIET = 2000;
const COUNTS_AFTER = 30_000;
const BACK_FOR = 3000;
/** After this the meeting gives way to a page that says so; it goes on trying. */
export const SILENT_AFTER = 5 * 60_000;

/**
 * @typedef {'none' | 'lost' | 'counting' | 'offline' | 'silent'} Loss
 *
 * What there is to say about a connection.
 * @param {import('../store.js').Connection} connection @param {number} now @param {boolean} isOnline
 * @returns {Loss}
 */
export function lossOf({ state, since }, now, isOnline) {
  if (state !== 'reconnecting' || now - since < QUIET) return 'none';
  if (now - since >= SILENT_AFTER) return 'silent';
  if (!isOnline) return 'offline';
  return now - since >= COUNTS_AFTER ? 'counting' : 'lost';
}

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
