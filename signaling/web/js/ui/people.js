// The people in the panel.
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { hands, store } from '../store.js';
import { avatar, nameOf } from './tile.js';

/** @param {import('../store.js').Person | import('../store.js').Self} p */
function person(p) {
  const { state } = store;
  const isSelf = p === state.self;
  const micOn = 'mic' in p ? p.mic.on : !p.audioMuted;
  const cameraOn = 'camera' in p ? p.camera.on : !p.videoMuted;
  const place = hands(state).indexOf(p.id) + 1;
  /** @param {boolean} on @param {string} ic @param {string} off */
  const device = (on, ic, off) => h('span', { class: on ? 'ok' : 'bad' },
    icon(on ? ic : `${ic}-off`), !on && h('span', { class: 'vh' }, t(off)));
  return h('li', { class: `person ${p.speaking ? 'is-speaking' : ''}` }, avatar(p),
    h('div', { class: 'person__name' },
      h('b', null, isSelf ? `${nameOf(p)} (${t('c.you')})` : nameOf(p)),
      p.isModerator && h('small', null, icon('crown'), t('u.mod'))),
    place > 0 && h('span', { class: 'person__hand' }, icon('hand-raised'),
      h('span', { class: 'vh' }, t('t.handN', { n: place })),
      h('span', { 'aria-hidden': 'true' }, String(place))),
    h('span', { class: 'person__st' },
      device(micOn, 'mic', 't.muted'), device(cameraOn, 'camera', 't.camoff')));
}

/** @returns {{ body: HTMLElement, foot: null, focus: () => void, close: () => void }} */
export function peoplePanel() {
  const list = h('ul', { role: 'list' });
  const body = h('div', null, list);
  const fill = () => {
    const { self, people } = store.state;
    list.replaceChildren(...[self, ...people.values()].map(person));
  };
  const ends = ['people', 'self'].map((topic) => store.on(topic, fill));
  fill();
  return { body, foot: null, focus: () => {}, close: () => ends.forEach((end) => end()) };
}
