// The menus of the bar: microphone and speaker, camera, More.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { liveMeter } from './controls.js';
import { DEVICE_LABELS, deviceInUse, devicesOf } from './devices.js';
import { openInvite, openKeys, openQuality, openSecurity } from './dialogs.js';
import { toggleFullScreen } from './full-screen.js';
import { choices, item, menu, popMenu } from './menus.js';
import { openPop } from './popover.js';
import { openSettings } from './settings.js';
import { play } from './sounds.js';

/** @param {import('./devices.js').Kind} kind */
function deviceItems(kind) {
  const list = devicesOf(kind);
  return list.length > 0 && [
    h('div', { class: 'menu__head', 'aria-hidden': 'true' }, t(DEVICE_LABELS[kind])),
    h('div', { role: 'group', 'aria-label': t(DEVICE_LABELS[kind]) },
      choices(list, deviceInUse(kind), (id) => { void app.chooseDevice(kind, id); })),
  ];
}

/** @param {HTMLElement} anchor */
export function micMenu(anchor) {
  const speakers = deviceItems('speaker');
  openPop(popMenu(t('m.micOpts'), h('div', { class: 'levelrow' }, icon('mic'), liveMeter(16)),
    deviceItems('mic'), speakers && h('hr'), speakers,
    item({ ic: 'volume', label: t('p.test'), onclick: () => play('test') }), h('hr'),
    item({
      ic: 'shield', label: t('m.noise'), checked: store.state.switches.noise,
      onclick: () => app.setSwitch('noise', !store.state.switches.noise),
    }),
    item({ ic: 'settings', label: t('m.audioSettings'), onclick: () => openSettings('sound') })),
  anchor, { align: 'start', once: true });
}

/** @param {HTMLElement} anchor */
export function cameraMenu(anchor) {
  const { view, switches } = store.state;
  const cameras = deviceItems('camera');
  openPop(menu(t('m.camOpts'), cameras, cameras && h('hr'),
    item({
      ic: 'flip', label: t('m.mirror'), checked: switches.mirror,
      onclick: () => app.setSwitch('mirror', !store.state.switches.mirror),
    }),
    item({
      ic: view.hideSelf ? 'eye' : 'eye-off', label: t(view.hideSelf ? 'm.selfShow' : 'm.selfHide'),
      onclick: () => app.hideSelf(!view.hideSelf),
    }),
    item({ ic: 'settings', label: t('m.videoSettings'), onclick: () => openSettings('video') })),
  anchor, { align: 'start', once: true });
}

/**
 * What has no room in the bar comes first.
 * @param {HTMLElement} anchor @param {Set<string>} hidden ids of the bar's controls
 * @param {(id: string) => { ic: string, label: string, key?: string, run: () => void }} control
 */
export function moreMenu(anchor, hidden, control) {
  const over = ['view', 'share', 'hand', 'people', 'chat'].filter((id) => hidden.has(id)).map((id) => {
    const { ic, label, key, run } = control(id);
    return item({ ic, label, ...(key ? { key } : {}), onclick: run });
  });
  const isFull = document.fullscreenElement !== null;
  openPop(menu(t('m.more'), over, over.length > 0 && h('hr'),
    item({ ic: 'person-add', label: t('m.invite'), onclick: openInvite }),
    store.state.self.isModerator && item({ ic: 'shield', label: t('m.security'), onclick: openSecurity }),
    h('hr'),
    document.fullscreenEnabled && item({
      ic: 'fullscreen', label: t(isFull ? 'm.unfull' : 'm.full'), key: 'S', onclick: toggleFullScreen,
    }),
    item({ ic: 'signal-4', label: t('m.quality'), key: 'A', onclick: openQuality }),
    h('hr'),
    item({ ic: 'keyboard', label: t('m.keys'), key: '?', onclick: openKeys }),
    item({ ic: 'gear', label: t('c.settings'), onclick: () => openSettings() })),
  anchor, { align: 'end', once: true });
}
