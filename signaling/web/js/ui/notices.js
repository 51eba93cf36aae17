// Events for the eyes: cards at the corner of the stage, at most three, that go by themselves.
// Each is also said to screen readers, and some have a sound.
import * as app from '../app.js';
import { $, arrange, h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { alarm, say } from './announce.js';
import { unblockAudio } from './audio.js';
import { Once, shown } from './queue.js';
import { play } from './sounds.js';

const STAYS = { 1: Infinity, 2: 10_000, 3: 8000, 4: 6000, 5: 3000 };
const MERGE = 2000;
const HELP_EVERY = 5 * 60_000;
const MURMUR_EVERY = 5000;
const CROWD = 12;
const OPENING = 5000;

/**
 * @typedef {object} Card
 * @property {1 | 2 | 3 | 4 | 5} prio
 * @property {string} ic
 * @property {string} title
 * @property {string} [text]
 * @property {string} [cls]   'warn', 'bad' or 'hand'
 * @property {{ label: string, run: () => void }[]} [acts]
 *
 * @typedef {Card & { id: number, at: number, left: number, el: HTMLElement }} Entry
 */

/** @param {string} name */
const named = (name) => name || t('u.guest');

/** The title of a device problem. @param {string} what @param {string} problem */
function deviceProblem(what, problem) {
  if (problem === 'denied') return [t('p.denyT'), t('p.denyD')];
  const kind = what === 'mic' ? 'mic' : 'cam';
  return problem === 'busy' ? [t(`z.${kind}Busy`), t('z.busyD')] : [t(`z.${kind}None`), t('z.noneD')];
}

/**
 * The card of an event; null when it has none.
 * @param {import('../store.js').Notice} n
 * @returns {Card | null}
 */
export function cardOf(n) {
  const unmute = { label: t('m.unmute'), run: () => { void app.setMic(true); } };
  switch (n.kind) {
    case 'hand': return { prio: 4, ic: 'hand-raised', cls: 'hand', title: t('z.hand', { name: named(n.name) }) };
    case 'moderator': return { prio: 4, ic: 'crown', title: t('z.mod') };
    case 'kicked': return { prio: 4, ic: 'person-remove', title: t('z.kicked1', { a: named(n.by), b: named(n.name) }) };
    case 'muted': {
      const key = { audio: 'z.mutedBy', video: 'z.camBy', desktop: 'z.shareBy' }[/** @type {'audio'} */ (n.what)];
      const ic = n.what === 'audio' ? 'mic-off' : n.what === 'video' ? 'camera-off' : 'stop-screen';
      return { prio: 2, ic, title: t(key, { name: named(n.by) }) };
    }
    case 'device-lost': return {
      prio: 2, ic: 'headphones', cls: 'warn', title: t('z.devLost', { name: n.name }),
      ...(n.now ? { text: t('z.devLostD', { name: n.now }) } : {}),
    };
    case 'device-found': return {
      prio: 4, ic: n.what === 'mic' ? 'mic' : 'camera',
      title: t(n.what === 'mic' ? 'z.devNew' : 'z.camNew', { name: n.name }),
      acts: [{ label: t('z.use'), run: () => { void app.chooseDevice(n.what, n.id); } }],
    };
    case 'device-problem': {
      const [title = '', text = ''] = deviceProblem(n.what, n.problem);
      return { prio: 2, ic: n.what === 'mic' ? 'mic-off' : 'camera-off', cls: 'warn', title, text };
    }
    case 'talking-muted': return { prio: 3, ic: 'mic-off', cls: 'warn', title: t('z.talkMuted'), acts: [unmute] };
    case 'share-failed': return { prio: 2, ic: 'stop-screen', cls: 'bad', title: t('z.shareFail') };
    case 'action-failed': return { prio: 2, ic: 'warning', cls: 'bad', title: t('z.failed') };
    case 'sound-blocked': return {
      prio: 1, ic: 'volume-off', cls: 'warn', title: t('z.blocked'),
      acts: [{ label: t('z.blockedGo'), run: unblockAudio }],
    };
    default: return null;
  }
}

export class Notices {
  constructor() {
    /** @type {Entry[]} */
    this.entries = [];
    this.number = 0;
    this.isHeld = false;
    this.once = new Once(HELP_EVERY);
    /** @type {{ joined: string[], left: string[] }} names that wait to be said together */
    this.murmurs = { joined: [], left: [] };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.murmurTimer = undefined;
    this.saidAt = 0;
    this.el = h('section', { class: 'notices', tabindex: '-1' });
    for (const [event, isHeld] of /** @type {[string, boolean][]} */ (
      [['pointerenter', true], ['pointerleave', false], ['focusin', true], ['focusout', false]])) {
      this.el.addEventListener(event, () => { this.isHeld = isHeld; });
    }
    const end = store.on('notice', (n) => this.receive(n));
    const timer = setInterval(() => this.tick(), 250);
    this.ends = [end, () => clearInterval(timer)];
    this.label();
  }

  close() {
    clearTimeout(this.murmurTimer);
    for (const end of this.ends) end();
  }

  label() { this.el.setAttribute('aria-label', t('g.notif')); }

  /** @param {import('../store.js').Notice} n */
  receive(n) {
    const { soundJoin, soundHand } = store.state.switches;
    if (n.kind === 'joined' || n.kind === 'left') {
      if (soundJoin) play(n.kind === 'joined' ? 'join' : 'leave');
      this.murmur(n.kind, named(n.name));
      return;
    }
    const card = cardOf(n);
    // who opens a room is its moderator; only one who becomes it later is told
    const isOpening = n.kind === 'moderator' && Date.now() - store.state.room.since < OPENING;
    if (!card || isOpening) return;
    if (card.prio === 3 && !this.once.may(n.kind, Date.now())) return;
    if (n.kind === 'hand' && soundHand) play('hand');
    this.add(card);
  }

  /** Those who come within two seconds are one notice; a crowd is none. @param {'joined' | 'left'} kind @param {string} name */
  murmur(kind, name) {
    this.murmurs[kind].push(name);
    clearTimeout(this.murmurTimer);
    this.murmurTimer = setTimeout(() => {
      for (const what of /** @type {const} */ (['joined', 'left'])) {
        const names = this.murmurs[what].splice(0);
        if (names.length === 0 || store.state.people.size + 1 > CROWD) continue;
        this.add({
          prio: 5, ic: what === 'joined' ? 'person-add' : 'door',
          title: names.length === 1 ? t(`z.${what}`, { name: names[0] }) : t(`z.${what}N`, { n: names.length }),
        });
      }
    }, MERGE);
  }

  /** @param {Card} card */
  add(card) {
    const same = this.entries.find((e) => e.title === card.title);
    if (same) { same.left = STAYS[same.prio]; return; }
    /** @type {Entry} */
    const entry = {
      ...card, id: this.number++, at: Date.now(), left: STAYS[card.prio],
      el: this.draw(card, () => this.drop(entry)),
    };
    this.entries.push(entry);
    this.say(card);
    this.show();
  }

  /** @param {Card} card */
  say({ prio, title, text }) {
    const words = text ? `${title}. ${text}` : title;
    if (prio <= 2) { alarm(words); return; }
    if (prio === 5 && Date.now() - this.saidAt < MURMUR_EVERY) return;
    if (prio === 5) this.saidAt = Date.now();
    say(words);
  }

  /** @param {Card} card @param {() => void} close */
  draw({ ic, title, text, cls, acts = [] }, close) {
    return h('div', { class: `notice ${cls ? `notice--${cls}` : ''}` }, icon(ic),
      h('div', { class: 'notice__text' }, h('b', null, title), text && h('p', null, text)),
      h('button', { class: 'ibtn', type: 'button', 'aria-label': t('c.dismiss'), onclick: close }, icon('close')),
      acts.length > 0 && h('div', { class: 'notice__acts' }, acts.map(({ label, run }, i) => h('button', {
        type: 'button', class: `btn btn--sm ${i === 0 ? 'btn--primary' : ''}`, onclick: () => { close(); run(); },
      }, label))));
  }

  /** @param {Entry} entry */
  drop(entry) {
    const hadFocus = entry.el.contains(document.activeElement);
    this.entries = this.entries.filter((e) => e !== entry);
    this.isHeld = false;
    this.show();
    if (hadFocus) $('#deck').focus();
  }

  show() {
    const room = innerWidth < 640 ? 1 : 3;
    const seen = shown(this.entries, room);
    for (const el of [...this.el.children]) if (!seen.some((e) => e.el === el)) el.remove();
    arrange(this.el, seen.map(({ el }) => el));
  }

  /** Time passes only for what is seen, and not while it is read. */
  tick() {
    if (this.isHeld || document.hidden) return;
    for (const entry of [...this.entries]) {
      if (!entry.el.isConnected) continue;
      entry.left -= 250;
      if (entry.left <= 0) this.drop(entry);
    }
  }
}
