// The page before the meeting: preview, devices, name, Join, the connection, and what the room asks
// first.
import { join, setCamera, setMic, setName, tryNow } from '../app.js';
import { h, icon, truss } from '../dom.js';
import { getLang, t } from '../i18n.js';
import { store } from '../store.js';
import { attemptText } from './banner.js';
import { ctl, field, hint, inputControl, liveMeter, setControl } from './controls.js';
import { KINDS, deviceSelect, toggleInput } from './devices.js';
import { nameStrength } from './random-name.js';
import { avatar, nameOf } from './tile.js';

/** @typedef {import('../store.js').Problem} Problem */

/** @type {Record<Exclude<Problem, null>, [string, string]>} */
const PROBLEMS = { denied: ['p.denyT', 'p.denyD'], missing: ['p.noneT', 'p.noneD'], busy: ['p.busyT', 'p.busyD'] };
/** Icon, class, title and text of each verdict of the connection test. @type {Record<string, [string, string, string, string]>} */
const NET = {
  good: ['signal-4', '', 'p.netGood', 'p.netGoodD'],
  weak: ['signal-2', 'net--warn', 'p.netPoor', 'p.netPoorD'],
  tcp: ['signal-3', 'net--warn', 'p.netTcp', 'p.netTcpD'],
  none: ['signal-0', 'net--bad', 'p.netNone', 'p.netNoneD'],
};
const WIDE = '(min-width: 640px)';
const SILENT_AFTER = 6000;

/** @param {string} kind @param {string} ic @param {string} title @param {string} text */
const callout = (kind, ic, title, text) => h('div', { class: `callout ${kind && `callout--${kind}`}` },
  icon(ic), h('b', null, t(title)), h('p', null, t(text)));

export class Prejoin {
  constructor() {
    const { state } = store;
    this.name = h('input', {
      class: 'input', id: 'name', autocomplete: 'name', maxlength: 60, placeholder: t('p.namePh'),
      value: state.self.name,
    });
    this.password = h('input', { class: 'input', id: 'pw', type: 'password', autocomplete: 'off' });
    this.video = h('video', { autoplay: true, playsinline: true, 'aria-hidden': 'true' });
    this.video.muted = true;
    this.off = h('div', { class: 'preview__off' });
    this.meter = h('div', { class: 'preview__lv' }, liveMeter(9));
    this.mic = ctl('mic', () => toggleInput('mic'));
    this.camera = ctl('cam', () => toggleInput('camera'));
    this.preview = h('div', { class: 'preview', role: 'group', 'aria-label': t('p.preview') },
      this.video, this.off, this.meter, h('div', { class: 'preview__ctl' }, this.mic, this.camera));
    this.selects = KINDS.map((kind) => deviceSelect(kind, `device-${kind}`, true));
    this.devices = h('div', { class: 'devs' }, this.selects.map(({ el }) => el));
    this.folded = h('details', null, h('summary', null, icon('settings', 'icon--md'), t('p.devices'),
      icon('chevron-down', 'icon--sm')));
    this.asked = h('div', { class: 'pre__asked' });
    this.askedShown = '';
    this.go = h('button', { class: 'btn btn--primary btn--lg btn--block', type: 'submit' });
    this.retry = h('button', {
      class: 'btn btn--primary btn--lg btn--block', type: 'button',
      onclick: () => { void setMic(true); void setCamera(true); },
    }, icon('refresh'), t('c.retry'));
    this.net = h('div', { class: 'net', role: 'status' });
    this.netShown = '';
    this.section = h('section', { 'aria-label': t('p.devices') }, this.preview);
    this.el = h('main', { class: 'pre', id: 'main' }, this.section,
      h('form', { class: 'pre__form', novalidate: true, onsubmit: (/** @type {SubmitEvent} */ e) => this.submit(e) },
        h('header', null, h('h1', null, state.room.title)),
        field('name', t('p.name'), this.name), this.asked, this.retry, this.go, this.folded, this.net));
    document.title = t('p.title', { room: state.room.title });
    this.heardAt = Date.now();
    this.isSilent = false;
    this.wide = matchMedia(WIDE);
    this.fold = () => {
      this.folded.hidden = this.wide.matches;
      (this.wide.matches ? this.section : this.folded).append(this.devices);
    };
    this.wide.addEventListener('change', this.fold);
    this.fold();
    this.ends = ['self', 'page', 'devices', 'probe', 'connection', 'switches']
      .map((topic) => store.on(topic, () => this.update()));
    this.timer = setInterval(() => this.tick(), 1000);
    this.update();
  }

  close() {
    for (const end of this.ends) end();
    clearInterval(this.timer);
    this.wide.removeEventListener('change', this.fold);
    this.video.srcObject = null;
    // another language makes the page again
    if (this.name.value !== store.state.self.name) setName(this.name.value);
  }

  /** Where the cursor belongs when the page opens; a finger would only get a keyboard in the way. */
  focus() {
    if (this.password.isConnected) this.password.focus();
    else if (matchMedia('(pointer: fine)').matches) this.name.focus();
  }

  /** @param {SubmitEvent} e */
  submit(e) {
    e.preventDefault();
    if (store.state.page === 'joining') return;
    setName(this.name.value);
    void join(this.password.value || undefined);
  }

  tick() {
    const { self } = store.state;
    if (self.level > 0.003 || !self.mic.on || !self.mic.track) this.heardAt = Date.now();
    this.isSilent = Date.now() - this.heardAt > SILENT_AFTER;
    this.drawQuestion();
  }

  update() {
    const { self, page } = store.state;
    this.drawPreview();
    for (const [button, which] of /** @type {const} */ ([[this.mic, 'mic'], [this.camera, 'camera']])) {
      const isOn = self[which].on && !self[which].problem;
      // over a picture there is one red, and shortcuts begin with the meeting
      setControl(button, { ...inputControl(which), cls: isOn ? '' : 'is-off', key: '' });
    }
    for (const { fill } of this.selects) fill();
    const isDenied = self.mic.problem === 'denied' && self.camera.problem === 'denied';
    const isJoining = page === 'joining';
    this.retry.hidden = !isDenied || isJoining;
    this.go.className = `btn ${isDenied && !isJoining ? 'btn--line' : 'btn--primary'} btn--lg btn--block`;
    if (isJoining) this.go.setAttribute('aria-busy', 'true'); else this.go.removeAttribute('aria-busy');
    this.go.replaceChildren(...isJoining ? [truss('truss--sm'), t('p.joining')] : [t(isDenied ? 'p.joinView' : 'p.join')]);
    this.drawQuestion();
    this.drawNet();
  }

  drawPreview() {
    const { video, off, preview } = this;
    const { self, switches } = store.state;
    const { on, busy, problem, track } = self.camera;
    const stream = /** @type {MediaStream | null} */ (video.srcObject);
    if ((stream?.getTracks()[0] ?? null) !== track) video.srcObject = track ? new MediaStream([track]) : null;
    preview.classList.toggle('is-plain', !switches.mirror);
    video.hidden = !track;
    off.hidden = track !== null;
    this.meter.hidden = !self.mic.on || !self.mic.track;
    if (track) return;
    if (problem) {
      const [title, text] = PROBLEMS[problem];
      off.replaceChildren(icon('camera-off'), h('b', null, t(title)), h('p', null, t(text)));
    } else if (on && busy) off.replaceChildren(truss(), h('b', null, t('p.camStart')));
    else off.replaceChildren(avatar({ id: self.id, name: nameOf(self) }), h('b', null, t('p.camOff')));
  }

  /** What the room or a device asks for, or what there is to know before Join. */
  drawQuestion() {
    const { ask, page, self, connection } = store.state;
    const key = page === 'joining' && ask !== 'full' && connection.retryAt ? attemptText()
      : `${ask} ${self.mic.problem} ${this.isSilent} ${getLang()}`;
    if (key === this.askedShown) return;
    this.askedShown = key;
    const parts = this.question();
    this.asked.replaceChildren(...parts);
    this.asked.hidden = parts.length === 0;
    if (ask === 'password' || ask === 'password-wrong') {
      this.password.setAttribute('aria-invalid', String(ask === 'password-wrong'));
      this.password.focus();
    }
  }

  /** @returns {HTMLElement[]} */
  question() {
    const { ask, page, room, self, connection } = store.state;
    const isBad = ask === 'password-wrong';
    if (ask === 'password' || isBad) {
      this.password.setAttribute('aria-describedby', isBad ? 'pwerr' : 'pwask');
      return [hint('', 'lock', t('p.pwT'), 'pwask'), field('pw', t('p.pw'), this.password,
        isBad && hint('bad', 'warning', t('p.pwBad'), 'pwerr'))];
    }
    if (ask === 'full') {
      return [h('div', { class: 'callout', role: 'status' }, truss('truss--sm'),
        h('b', null, t('p.full')), h('p', null, t('p.fullRetry')))];
    }
    if (ask === 'refused') {
      const refused = callout('bad', 'warning', 'p.refused', 'p.refusedD');
      refused.setAttribute('role', 'alert');
      return [refused];
    }
    if (page === 'joining' && connection.retryAt) {
      return [h('div', { class: 'callout', role: 'status' }, truss('truss--sm'), h('b', null, t('e.gone')),
        h('p', null, attemptText()), h('button', { class: 'btn btn--sm', type: 'button', onclick: tryNow }, t('z.now')))];
    }
    if (self.mic.problem && self.mic.problem !== 'denied') {
      const text = self.mic.problem === 'busy' ? 'z.busyD' : 'z.noneD';
      return [callout('', 'mic-off', self.mic.problem === 'busy' ? 'z.micBusy' : 'z.micNone', text)];
    }
    const parts = [];
    if (nameStrength(room.title) === 1) parts.push(hint('warn', 'info', t('f.weak')));
    if (this.isSilent) parts.push(callout('', 'mic-off', 'p.mic', 'p.micSilent'));
    return parts;
  }

  drawNet() {
    const { probe } = store.state;
    const { net } = this;
    const key = `${JSON.stringify(probe)} ${getLang()}`;
    if (key === this.netShown) return;
    this.netShown = key;
    net.hidden = probe === null || (probe !== 'running' && probe.verdict === 'unknown');
    if (probe === null) return;
    if (probe === 'running') {
      net.className = 'net';
      net.replaceChildren(truss('truss--sm'), h('b', null, t('p.netTest')));
      return;
    }
    const [ic, cls, title, text] = NET[probe.verdict] ?? ['', '', '', ''];
    if (!ic) return;
    const down = new Intl.NumberFormat(getLang(), { maximumFractionDigits: 1 }).format(probe.mbps);
    net.className = `net ${cls}`;
    net.replaceChildren(icon(ic), h('b', null, t(title)), h('p', null, t(text, { rtt: probe.rtt, down })));
  }
}
