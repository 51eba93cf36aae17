// The line above the stage on phones and tablets: room, the other side of the camera, the view.
import { flipCamera } from '../app.js';
import { h, icon, setIcon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { roomButton, toggleView } from './deck.js';

export class Head {
  constructor() {
    this.room = roomButton();
    this.flip = h('button', { class: 'ibtn', type: 'button', onclick: () => { void flipCamera(); } }, icon('flip'));
    this.view = h('button', { class: 'ibtn head__view', type: 'button', onclick: toggleView }, icon('stage'));
    this.el = h('header', { class: 'head', id: 'head' },
      this.room.el, h('span', { class: 'head__spring' }), this.flip, this.view);
    this.ends = ['room', 'self', 'view', 'devices'].map((topic) => store.on(topic, () => this.update()));
    this.update();
  }

  close() { for (const end of this.ends) end(); }

  update() {
    const { self, view, devices } = store.state;
    const isTile = view.mode === 'tile';
    this.room.update();
    this.flip.hidden = !self.camera.track || devices.cameras.length < 2;
    this.flip.setAttribute('aria-label', t('m.flip'));
    this.view.setAttribute('aria-label', t(isTile ? 'm.toStage' : 'm.toTile'));
    setIcon(this.view, isTile ? 'stage' : 'tile');
  }
}
