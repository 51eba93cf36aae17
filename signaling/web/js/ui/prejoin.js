// The page before the meeting: preview, devices, name, Join, and what the room asks first.
import { chooseDevice, join, setCamera, setMic, setName } from '../app.js';
import { $, h, icon, truss } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { setControl } from './deck.js';
import { avatar, nameOf } from './tile.js';

/** @typedef {import('../store.js').Problem} Problem */

/** @type {Record<Exclude<Problem, null>, [string, string]>} */
const PROBLEMS = { denied: ['p.denyT', 'p.denyD'], missing: ['p.noneT', 'p.noneD'], busy: ['p.busyT', 'p.busyD'] };

/** @param {string} id @param {string} label @param {...any} kids */
const field = (id, label, ...kids) => h('div', { class: 'field' }, h('label', { for: id }, label), kids);

export class Prejoin {
  constructor() {
    const { state } = store;
    this.video = h('video', { autoplay: true, playsinline: true, 'aria-hidden': 'true' });
    this.video.muted = true;
    this.off = h('div', { class: 'preview__off' });
    this.mic = h('button', { type: 'button', class: 'ctl', id: 'ctl-mic', onclick: () => setMic(!state.self.mic.on) }, icon('mic'));
    this.camera = h('button', { type: 'button', class: 'ctl', id: 'ctl-camera', onclick: () => setCamera(!state.self.camera.on) }, icon('camera'));
    this.name = h('input', {
      class: 'input', id: 'name', autocomplete: 'name', maxlength: 60, placeholder: t('p.namePh'),
      value: state.self.name,
    });
    this.password = h('input', { class: 'input', id: 'pw', type: 'password', autocomplete: 'off' });
    this.asked = h('div', { hidden: true });
    this.go = h('button', { class: 'btn btn--primary btn--lg btn--block', type: 'submit' });
    this.devices = h('div', { class: 'devs' });
    this.el = h('main', { class: 'pre', id: 'main' },
      h('section', { 'aria-label': t('p.devices') },
        h('div', { class: 'preview', role: 'group', 'aria-label': t('p.preview') },
          this.video, this.off, h('div', { class: 'preview__ctl' }, this.mic, this.camera)),
        this.devices),
      h('form', { class: 'pre__form', novalidate: true, onsubmit: (/** @type {SubmitEvent} */ e) => this.submit(e) },
        h('header', null, h('h1', null, state.room.title)),
        field('name', t('p.name'), this.name), this.asked, this.go));
    this.ends = ['self', 'page', 'devices'].map((topic) => store.on(topic, () => this.update()));
    this.update();
  }

  close() {
    for (const end of this.ends) end();
    this.video.srcObject = null;
  }

  /** @param {SubmitEvent} e */
  submit(e) {
    e.preventDefault();
    setName(this.name.value);
    void join(this.password.value || undefined);
  }

  update() {
    const { self, ask, page } = store.state;
    this.drawPreview(self.camera);
    setControl(this.mic, {
      ic: self.mic.on ? 'mic' : 'mic-off', label: t(self.mic.on ? 'm.mute' : 'm.unmute'), key: 'M',
      cls: self.mic.on ? '' : 'is-off', mark: self.mic.problem !== null,
    });
    setControl(this.camera, {
      ic: self.camera.on ? 'camera' : 'camera-off', label: t(self.camera.on ? 'm.camOff' : 'm.camOn'),
      key: 'V', cls: self.camera.on ? '' : 'is-off', mark: self.camera.problem !== null,
    });
    const isJoining = page === 'joining';
    this.go.toggleAttribute('aria-busy', isJoining);
    this.go.replaceChildren(...isJoining ? [truss('truss--sm'), t('p.joining')] : [t('p.join')]);
    this.drawQuestion(ask);
    this.drawDevices();
  }

  /** @param {import('../store.js').Input} camera */
  drawPreview({ on, busy, problem, track }) {
    const stream = /** @type {MediaStream | null} */ (this.video.srcObject);
    if ((stream?.getTracks()[0] ?? null) !== track) this.video.srcObject = track ? new MediaStream([track]) : null;
    this.video.hidden = !track;
    this.off.hidden = track !== null;
    if (track) return;
    const { self } = store.state;
    if (problem) {
      const [title, text] = PROBLEMS[problem];
      this.off.replaceChildren(icon('camera-off'), h('b', null, t(title)), h('p', null, t(text)));
    } else if (on && busy) this.off.replaceChildren(truss(), h('b', null, t('p.camStart')));
    else this.off.replaceChildren(avatar({ id: self.id, name: nameOf(self) }), h('b', null, t('p.camOff')));
  }

  /** @param {import('../store.js').Ask} ask */
  drawQuestion(ask) {
    const isPassword = ask === 'password' || ask === 'password-wrong';
    this.asked.hidden = !isPassword;
    if (!isPassword || this.asked.firstChild) return;
    this.asked.replaceChildren(h('p', { class: 'hint' }, icon('lock'), h('span', null, t('p.pwT'))),
      field('pw', t('p.pw'), this.password));
    this.password.focus();
  }

  drawDevices() {
    const { devices } = store.state;
    const lists = /** @type {const} */ ([['mic', 'mic', devices.mics, 'p.mic'], ['camera', 'camera', devices.cameras, 'p.cam']]);
    if (this.devices.contains(document.activeElement)) return;
    this.devices.replaceChildren(...lists.map(([kind, ic, list, label]) => h('span', { class: 'select select--icon' }, icon(ic),
      h('select', {
        class: 'input', 'aria-label': t(label), disabled: list.length === 0,
        onchange: (/** @type {Event} */ e) => chooseDevice(kind, /** @type {HTMLSelectElement} */ (e.currentTarget).value),
      }, list.map((d) => h('option', { value: d.id, selected: d.id === devices[kind] }, d.label || t(label)))),
      icon('chevron-down'))));
  }
}

/** Puts the field with the cursor where it belongs when the page opens. */
export function focusName() {
  if (matchMedia('(pointer: fine)').matches) $('#name').focus();
}
