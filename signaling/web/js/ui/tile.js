// One tile: the picture of a person, of oneself, or a shared screen. It is made once for its source
// and only changed and moved after that, so that its <video> never reloads.
import { h, icon, setIcon, truss } from '../dom.js';
import { t } from '../i18n.js';
import { cameraOf, hands, isPaused, store } from '../store.js';

const HUES = 8;

/** @param {string} name the first letters of the first and the last word */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((w) => [...w ?? ''].find((c) => /[\p{L}\p{N}]/u.test(c)) ?? '')
    .join('').toUpperCase() || '·';
}

/** One of eight hues, the same for a person in every browser. @param {string} id */
export function hue(id) {
  let sum = 0;
  for (const c of id) sum = (sum * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return sum % HUES;
}

/** @param {{ id: string, name: string }} person @param {string} [cls] */
export function avatar({ id, name }, cls = '') {
  return h('span', { class: `ava ${cls} hue-${hue(id)}`, 'aria-hidden': 'true' }, initials(name));
}

/** The name that people read. @param {{ name: string }} person */
export const nameOf = ({ name }) => name || t('u.guest');

/** The three bars that move with a voice. */
export const levelBars = () => h('span', { class: 'lv', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'));

/**
 * Moves the bars; transforms only.
 * @param {Element} bars @param {number} level 0 to 1
 */
export function moveBars(bars, level) {
  const loud = Math.min(1, Math.sqrt(level) * 1.6);
  [...bars.children].forEach((bar, i) => {
    const scale = 0.28 + 0.72 * loud * (i === 1 ? 1 : 0.7);
    /** @type {HTMLElement} */ (bar).style.transform = `scaleY(${scale.toFixed(2)})`;
  });
}

/**
 * @typedef {object} TileActions
 * @property {(anchor: HTMLElement, tile: Tile) => void} [menu]
 * @property {(tile: Tile) => void} [pin]
 * @property {(anchor: HTMLElement, tile: Tile) => void} [stats]
 *
 * What a tile shows at the moment.
 * @typedef {object} Face
 * @property {string} name
 * @property {MediaStreamTrack | null} track  of its slot, also while there is no picture
 * @property {'' | 'lost' | 'paused'} message
 * @property {boolean} muted
 * @property {boolean} cameraOff
 * @property {number} place   in the queue of hands, 0 without a hand
 * @property {number} bars
 * @property {boolean} pinned
 */

export class Tile {
  /**
   * @param {'self' | 'person' | 'screen'} kind
   * @param {string} id       of the person
   * @param {string} source   name of the video source; 'self' for the own picture
   * @param {TileActions} [actions]
   */
  constructor(kind, id, source, actions = {}) {
    this.kind = kind;
    this.id = id;
    this.source = source;
    /** @type {MediaStreamTrack | null} */
    this.track = null;
    this.video = h('video', { autoplay: true, playsinline: true, 'aria-hidden': 'true' });
    this.video.muted = true;
    this.isOff = true;
    for (const event of ['loadeddata', 'emptied']) {
      this.video.addEventListener(event, () => this.drawPicture());
    }
    this.media = h('div', { class: 'tile__media' }, this.video);
    this.off = h('div', { class: 'tile__off' }, avatar(this.person()));
    this.message = h('div', { class: 'tile__msg', hidden: true });
    this.badges = h('div', { class: 'tile__badges' });
    this.quality = h('span', { class: 'tile__q', 'aria-hidden': 'true', hidden: true }, icon('signal-2'));
    this.label = h('span');
    this.bars = levelBars();
    this.bars.hidden = true;
    this.micOff = icon('mic-off', 'icon--muted');
    this.pinMark = icon('pin');
    this.acts = this.actions(actions);
    this.el = h('li', {
      class: `tile hue-${hue(id)}`, data: { id, source }, tabindex: '-1',
      ondblclick: (/** @type {MouseEvent} */ e) => {
        if (!/** @type {Element} */ (e.target).closest('button')) actions.pin?.(this);
      },
      onclick: (/** @type {PointerEvent} */ e) => this.tap(e),
      oncontextmenu: (/** @type {PointerEvent} */ e) => this.longPress(e),
    }, this.media, this.off, this.message, this.badges, this.quality,
    h('div', { class: 'tile__label', 'aria-hidden': 'true' },
      kind === 'screen' ? icon('screen') : [this.micOff, this.bars], this.label, this.pinMark),
    this.acts);
    this.setStop(false);
    this.el.classList.toggle('is-self', kind === 'self');
    this.el.classList.toggle('is-share', kind === 'screen');
    this.lastMessage = '';
    this.update();
  }

  person() {
    const { self, people } = store.state;
    return this.kind === 'self' ? self : people.get(this.id) ?? { id: this.id, name: '' };
  }

  /** @param {TileActions} actions */
  actions({ menu, pin, stats }) {
    /** @param {string} ic @param {(anchor: HTMLElement) => void} run */
    const button = (ic, run) => h('button', {
      type: 'button', onclick: (/** @type {MouseEvent} */ e) => run(/** @type {HTMLElement} */ (e.currentTarget)),
    }, icon(ic));
    this.statsButton = stats && this.kind !== 'screen' ? button('signal-4', (a) => stats(a, this)) : null;
    this.pinButton = pin ? button('pin', () => pin(this)) : null;
    this.menuButton = menu ? button('more', (a) => menu(a, this)) : null;
    this.menuButton?.setAttribute('aria-haspopup', 'menu');
    this.menuButton?.setAttribute('aria-expanded', 'false');
    return h('div', { class: 'tile__acts' }, this.statsButton, this.pinButton, this.menuButton);
  }

  /** @returns {Face} */
  face() {
    const { state } = store;
    const person = this.person();
    const pinned = state.view.pinned === this.source;
    if (this.kind === 'screen') {
      const source = state.sources.get(this.source);
      return {
        name: t('m.ofShare', { name: nameOf(person) }), track: source?.track ?? null,
        message: source && isPaused(state, source) ? 'paused' : '', muted: false, cameraOff: false,
        place: 0, bars: 4, pinned,
      };
    }
    const place = hands(state).indexOf(person.id) + 1;
    if (this.kind === 'self') {
      const { camera, mic, name } = state.self;
      return {
        name: name ? `${name} (${t('c.you')})` : t('c.you'), track: camera.track, message: '',
        muted: !mic.on, cameraOff: !camera.on, place, bars: state.stats?.bars ?? 4, pinned,
      };
    }
    const other = state.people.get(this.id);
    const camera = cameraOf(state, this.id);
    const isOff = !camera || camera.muted;
    return {
      name: nameOf(person),
      track: camera?.track ?? null,
      message: other?.interrupted ? 'lost' : camera && isPaused(state, camera) ? 'paused' : '',
      muted: other?.audioMuted ?? false,
      cameraOff: isOff,
      place,
      bars: other?.interrupted ? 0 : other?.bars ?? 4,
      pinned,
    };
  }

  /** Another stay in the room is another id. @param {string} id */
  setId(id) {
    if (id === this.id) return;
    for (const { classList } of [this.el, this.off.firstElementChild].filter((el) => el !== null)) {
      classList.replace(`hue-${hue(this.id)}`, `hue-${hue(id)}`);
    }
    this.id = id;
    this.el.dataset.id = id;
  }

  /** Shows what the store says now. */
  update() {
    if (this.kind === 'self') this.setId(store.state.self.id);
    const face = this.face();
    this.setTrack(face.track);
    this.isOff = face.cameraOff || !face.track;
    this.drawPicture();
    this.label.textContent = face.name;
    this.micOff.toggleAttribute('hidden', !face.muted);
    this.pinMark.toggleAttribute('hidden', !face.pinned);
    this.el.classList.toggle('is-pinned', face.pinned);
    this.el.classList.toggle('is-plain', this.kind === 'self' && !store.state.switches.mirror);
    this.el.setAttribute('aria-label', this.spoken(face));
    this.showMessage(face.message);
    const place = String(face.place || '');
    if (this.badges.textContent !== place) {
      this.badges.replaceChildren(face.place
        ? h('span', { class: 'tile__hand', 'aria-hidden': 'true' }, icon('hand-raised'), place) : '');
    }
    this.quality.hidden = face.bars > 2 || this.kind === 'screen';
    this.quality.className = `tile__q is-${face.bars}`;
    setIcon(this.quality, `signal-${face.bars}`);
    this.updateAvatar();
    this.labelButtons(face);
  }

  updateAvatar() {
    const person = this.person();
    const letters = initials(nameOf(person));
    const now = this.off.firstElementChild;
    if (now && now.textContent !== letters) now.textContent = letters;
  }

  /** @param {Face} face */
  labelButtons({ name, pinned, bars }) {
    /** @param {HTMLElement | null} button @param {string} label @param {string} tip */
    const label = (button, label, tip) => {
      button?.setAttribute('aria-label', label);
      if (button) button.dataset.tip = tip;
    };
    const pin = t(pinned ? 't.unpin' : 't.pin');
    label(this.pinButton ?? null, `${pin}: ${name}`, pin);
    this.pinButton?.setAttribute('aria-pressed', String(pinned));
    if (this.pinButton) setIcon(this.pinButton, pinned ? 'unpin' : 'pin');
    label(this.statsButton ?? null, `${t('t.stats')}: ${name}`, t('t.stats'));
    if (this.statsButton) setIcon(this.statsButton, `signal-${bars}`);
    label(this.menuButton ?? null, t('t.menu', { name }), t('c.more'));
  }

  /** What a screen reader hears. @param {Face} face */
  spoken({ name, muted, cameraOff, place, bars, pinned }) {
    const out = [name];
    if (this.kind !== 'screen') {
      if (muted) out.push(t('t.muted'));
      if (cameraOff) out.push(t('t.camoff'));
      if (place) out.push(t('t.handN', { n: place }));
      if (bars < 3) out.push(t(`t.q${bars}`));
    }
    if (pinned) out.push(t('t.pinned'));
    return out.join(', ');
  }

  /** @param {string} message */
  showMessage(message) {
    if (message === this.lastMessage) return;
    this.lastMessage = message;
    this.message.hidden = !message;
    if (!message) return;
    this.message.replaceChildren(
      message === 'lost' ? truss('truss--sm') : icon('camera-off', 'icon--lg'), t(`t.${message}`));
  }

  /** @param {MediaStreamTrack | null} track */
  setTrack(track) {
    if (track === this.track) return;
    this.track = track;
    this.video.srcObject = track ? new MediaStream([track]) : null;
  }

  /** The face of a camera that is off stays until the first frame is there. */
  drawPicture() {
    const isSeen = !this.isOff && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    this.el.classList.toggle('is-off', !isSeen);
    this.off.hidden = isSeen;
  }

  /** A finger has no hover: it shows the buttons by a tap. @param {PointerEvent} e */
  tap(e) {
    if (e.pointerType !== 'touch' || /** @type {Element} */ (e.target).closest('button')) return;
    const isOpen = this.el.classList.contains('is-open');
    for (const el of document.querySelectorAll('.tile.is-open')) el.classList.remove('is-open');
    this.el.classList.toggle('is-open', !isOpen);
  }

  /** @param {PointerEvent} e */
  longPress(e) {
    if (e.pointerType !== 'touch' || !this.menuButton) return;
    e.preventDefault();
    this.menuButton.click();
  }

  /** Its buttons are stops of Tab only while the tile is the one in the list that is. @param {boolean} isStop */
  setStop(isStop) {
    this.el.tabIndex = isStop ? 0 : -1;
    for (const button of this.acts.querySelectorAll('button')) button.tabIndex = isStop ? 0 : -1;
  }

  /** Ring and bars, up to ten times a second. */
  level() {
    const { self, people } = store.state;
    const who = this.kind === 'self' ? self : people.get(this.id);
    const isSpeaking = this.kind !== 'screen' && (who?.speaking ?? false);
    this.el.classList.toggle('is-speaking', isSpeaking);
    this.bars.hidden = !isSpeaking;
    if (isSpeaking) moveBars(this.bars, who?.level ?? 0);
  }

  /** @param {import('./layout.js').Rect} r */
  move({ x, y, w, h: height }) {
    const { style } = this.el;
    style.transform = `translate(${x}px, ${y}px)`;
    style.width = `${w}px`;
    style.height = `${height}px`;
  }

  /** Off the page: nothing is decoded for it. @param {boolean} isShown */
  show(isShown) {
    this.el.hidden = !isShown;
    if (isShown && this.video.paused && this.track) void this.video.play().catch(() => {});
    else if (!isShown) this.video.pause();
  }

  remove() {
    this.setTrack(null);
    this.el.remove();
  }
}
