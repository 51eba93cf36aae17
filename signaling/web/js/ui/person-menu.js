// The menu of a person, the same on a tile and in the list of people.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { cameraOf, screens, store } from '../store.js';
import { askKick } from './dialogs.js';
import { item, popMenu } from './menus.js';
import { openPop } from './popover.js';
import { openStats } from './stats-pop.js';
import { nameOf } from './tile.js';

/** @param {string} id @param {string} name */
function volume(id, name) {
  const range = h('input', {
    class: 'range', type: 'range', min: 0, max: 100, value: store.state.volumes.get(id) ?? 100,
    'aria-label': `${t('t.volume')}: ${name}`,
    oninput: () => app.setVolume(id, Number(range.value)),
  });
  return h('div', { class: 'rangerow' }, icon('volume'), range);
}

/** What only a moderator can do. @param {import('../store.js').Person} person */
function moderatorItems(person) {
  const { id, name } = person;
  const { state } = store;
  const isShown = cameraOf(state, id)?.muted === false;
  const isSharing = screens(state).some((s) => s.owner === id);
  return [h('hr'),
    !person.audioMuted && item({ ic: 'mic-off', label: t('t.muteHim'), onclick: () => { void app.mute(id, 'audio'); } }),
    isShown && item({ ic: 'camera-off', label: t('t.stopCam'), onclick: () => { void app.mute(id, 'video'); } }),
    isSharing && item({ ic: 'stop-screen', label: t('t.stopShare'), onclick: () => { void app.mute(id, 'desktop'); } }),
    item({
      ic: 'person-remove', label: t('t.kick'), danger: true,
      onclick: () => askKick(id, nameOf({ name })),
    })];
}

/**
 * @param {HTMLElement} anchor @param {string} id of the person
 * @param {string} [source] that is pinned; the camera when none is named
 */
export function personMenu(anchor, id, source) {
  const { state } = store;
  const person = state.people.get(id);
  const isSelf = id === state.self.id;
  if (!person && !isSelf) return;
  const name = nameOf(person ?? state.self);
  const pinned = source ?? (isSelf ? 'self' : `${id}-v0`);
  const isPinned = state.view.pinned === pinned;
  const pop = popMenu(t('t.menu', { name }), person ? volume(id, name) : null,
    item({
      ic: isPinned ? 'unpin' : 'pin', label: t(isPinned ? 't.unpin' : 't.pin'),
      onclick: () => app.pin(isPinned ? null : pinned),
    }),
    item({ ic: 'chart', label: t('t.stats'), onclick: () => openStats(anchor, id) }),
    person && state.self.isModerator && moderatorItems(person));
  const tile = anchor.closest('.tile');
  tile?.classList.add('is-open');
  pop.addEventListener('toggle', (e) => {
    if (/** @type {ToggleEvent} */ (e).newState === 'closed') tile?.classList.remove('is-open');
  });
  openPop(pop, anchor, { side: 'bottom', align: 'end', once: true });
}
