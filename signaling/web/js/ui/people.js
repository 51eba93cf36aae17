// The people in the panel: raised hands in their order, then everyone. The rows are made once and
// changed, so that the focus stays where it is.
import { muteAll } from '../app.js';
import { $, arrange, h, icon, setIcon } from '../dom.js';
import { getLang, t } from '../i18n.js';
import { hands, store } from '../store.js';
import { askMuteAll, openSecurity } from './dialogs.js';
import { item, menu } from './menus.js';
import { personMenu } from './person-menu.js';
import { openPop } from './popover.js';
import { avatar, initials, levelBars, moveBars, nameOf } from './tile.js';

/** @typedef {import('../store.js').Person | import('../store.js').Self} Someone */

const SEARCH_FROM = 8;
const SPOKE_LATELY = 60_000;

/** Oneself, moderators, speakers of the last minute, alphabet. @param {Someone[]} people @param {number} now */
export function sorted(people, now) {
  const { self } = store.state;
  /** @param {Someone} p */
  const rank = (p) => (p === self ? 0 : p.isModerator ? 1
    : 'spokeAt' in p && now - p.spokeAt < SPOKE_LATELY ? 2 : 3);
  return [...people].sort((a, b) => rank(a) - rank(b)
    || nameOf(a).localeCompare(nameOf(b), getLang()) || (a.id < b.id ? -1 : 1));
}

/** A device of a person, on or off. @param {string} ic */
function device(ic) {
  const off = h('span', { class: 'vh' });
  const el = h('span', null, icon(ic), off);
  return {
    el,
    /** @param {boolean} isOn @param {string} label */
    set(isOn, label) {
      el.className = isOn ? 'ok' : 'bad';
      setIcon(el, isOn ? ic : `${ic}-off`);
      off.textContent = isOn ? '' : label;
    },
  };
}

class Row {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.avatar = avatar({ id, name: '' });
    this.name = h('b');
    this.moderator = h('small', { hidden: true }, icon('crown'), h('span', null));
    this.placeSaid = h('span', { class: 'vh' });
    this.placeSeen = h('span', { 'aria-hidden': 'true' });
    this.place = h('span', { class: 'person__hand', hidden: true }, icon('hand-raised'),
      this.placeSaid, this.placeSeen);
    this.bars = levelBars();
    this.voice = h('span', { hidden: true }, this.bars);
    this.mic = device('mic');
    this.camera = device('camera');
    this.menu = h('button', {
      class: 'ibtn', type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false',
      onclick: () => personMenu(this.menu, id),
    }, icon('more-vertical'));
    this.el = h('li', { class: 'person' }, this.avatar,
      h('div', { class: 'person__name' }, this.name, this.moderator), this.place,
      h('span', { class: 'person__st' }, this.voice, this.mic.el, this.camera.el), this.menu);
  }

  /** @param {Someone} p @param {number} place in the queue of hands, 0 without a hand */
  update(p, place) {
    const name = nameOf(p);
    this.avatar.textContent = initials(name);
    this.name.textContent = p === store.state.self ? `${name} (${t('c.you')})` : name;
    this.moderator.hidden = !p.isModerator;
    this.moderator.lastChild?.replaceWith(h('span', null, t('u.mod')));
    this.place.hidden = place === 0;
    this.placeSaid.textContent = t('t.handN', { n: place });
    this.placeSeen.textContent = String(place);
    this.mic.set('mic' in p ? p.mic.on && !p.mic.problem : !p.audioMuted, t('t.muted'));
    this.camera.set('camera' in p ? p.camera.on && !p.camera.problem : !p.videoMuted, t('t.camoff'));
    this.menu.setAttribute('aria-label', t('t.menu', { name }));
    this.level(p);
  }

  /** @param {Someone} p */
  level(p) {
    this.el.classList.toggle('is-speaking', p.speaking);
    this.voice.hidden = !p.speaking;
    this.mic.el.hidden = p.speaking;
    if (p.speaking) moveBars(this.bars, p.level);
  }
}

class PeopleList {
  constructor() {
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.search = h('input', { class: 'input', type: 'search', oninput: () => this.fill() });
    this.find = h('div', { class: 'find' }, icon('search'), this.search);
    this.handsTitle = h('h3');
    this.handsHead = h('div', { class: 'sect' }, this.handsTitle);
    this.handsList = h('ul', { role: 'list' });
    this.title = h('h3');
    this.list = h('ul', { role: 'list' });
    this.none = h('p', { class: 'hint', role: 'status' });
    this.el = h('div', null, this.find, this.handsHead, this.handsList,
      h('div', { class: 'sect' }, this.title), this.list, this.none);
    this.muteAll = h('button', { class: 'btn btn--sm', type: 'button', onclick: askMuteAll }, icon('mic-off'), t('u.muteAll'));
    this.more = h('button', {
      class: 'ibtn', type: 'button', 'aria-label': t('u.modCtl'), 'aria-haspopup': 'menu', 'aria-expanded': 'false',
      onclick: () => openPop(menu(t('u.modCtl'),
        item({ ic: 'camera-off', label: t('u.stopAll'), onclick: () => { void muteAll('video'); } }), h('hr'),
        item({ ic: 'shield', label: t('m.security'), onclick: openSecurity })), this.more, { align: 'end', once: true }),
    }, icon('more-vertical'));
    this.foot = h('div', { class: 'panel__foot panel__foot--row' }, this.muteAll, this.more);
    this.ends = ['people', 'self'].map((topic) => store.on(topic, () => this.fill()));
    this.ends.push(store.on('levels', () => this.levels()));
    this.fill();
  }

  close() { for (const end of this.ends) end(); }

  /** @param {string} id @returns {Someone | undefined} */
  person(id) {
    const { self, people } = store.state;
    return id === self.id ? self : people.get(id);
  }

  levels() {
    for (const row of this.rows.values()) {
      const person = this.person(row.id);
      if (person) row.level(person);
    }
  }

  fill() {
    const { self, people } = store.state;
    const all = sorted([self, ...people.values()], Date.now());
    const queue = hands(store.state);
    for (const id of this.rows.keys()) if (!this.person(id)) this.rows.delete(id);
    for (const person of all) {
      const row = this.rows.get(person.id) ?? new Row(person.id);
      this.rows.set(person.id, row);
      row.update(person, queue.indexOf(person.id) + 1);
    }
    const query = this.search.value.trim().toLocaleLowerCase();
    /** @param {string} id */
    const isFound = (id) => nameOf(this.person(id) ?? self).toLocaleLowerCase().includes(query);
    /** @param {HTMLElement} list @param {string[]} ids */
    const put = (list, ids) => {
      const rows = ids.filter(isFound).map((id) => this.rows.get(id)?.el).filter((el) => el !== undefined);
      for (const el of [...list.children]) if (!rows.includes(/** @type {HTMLLIElement} */ (el))) el.remove();
      arrange(list, rows);
    };
    put(this.handsList, queue);
    put(this.list, all.map((p) => p.id).filter((id) => !queue.includes(id)));
    this.drawTexts(all.length, queue.length > 0);
  }

  /** @param {number} count @param {boolean} hasHands */
  drawTexts(count, hasHands) {
    this.find.hidden = count < SEARCH_FROM;
    this.search.setAttribute('aria-label', t('u.find'));
    this.search.placeholder = t('u.find');
    this.handsHead.hidden = !hasHands;
    this.handsTitle.textContent = t('u.hands');
    this.title.textContent = `${t('u.in')} (${count})`;
    const isNone = this.list.childElementCount + this.handsList.childElementCount === 0;
    this.none.textContent = isNone ? t('u.none') : '';
    this.foot.hidden = !store.state.self.isModerator;
  }
}

/** @returns {import('./panel.js').PanelContent} */
export function peoplePanel() {
  const list = new PeopleList();
  return {
    body: list.el, foot: list.foot, close: () => list.close(),
    focus: () => (list.find.hidden ? $('#panel .panel__head .ibtn') : list.search).focus(),
  };
}
