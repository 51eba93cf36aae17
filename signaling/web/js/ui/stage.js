// The stage: which tiles there are, where they lie, and what the bridge is asked for because of it.
import { want } from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { cameraOf, screens, store } from '../store.js';
import { gridLayout, pageSize, selfLayout, stageLayout } from './layout.js';
import { Tile } from './tile.js';

/** @typedef {import('./layout.js').Rect} Rect */

const STEPS = [180, 360, 720];
const PAGER_ROOM = 48;

export class Stage {
  /** @param {import('./tile.js').TileActions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Map<string, Tile>} by name of the source */
    this.tiles = new Map();
    this.page = 0;
    this.columns = 0;
    this.list = h('ul', { class: 'tiles', id: 'tiles', role: 'list' });
    this.pager = h('nav', { class: 'pager', hidden: true });
    this.more = h('span', { class: 'strip-more', hidden: true });
    this.el = h('main', { class: 'stage', id: 'stage' },
      h('h1', { class: 'vh', id: 'title' }, store.state.room.title), this.list, this.pager, this.more);
    this.size = { width: 0, height: 0 };
    this.pending = false;
    this.observer = new ResizeObserver(([e]) => {
      if (!e) return;
      this.size = { width: e.contentRect.width, height: e.contentRect.height };
      this.draw();
    });
    this.observer.observe(this.el);
    this.ends = [
      store.on('people', () => this.schedule()),
      store.on('sources', () => this.schedule()),
      store.on('self', () => this.schedule()),
      store.on('view', () => this.schedule()),
      store.on('speaker', () => this.schedule()),
      store.on('levels', () => this.tiles.forEach((tile) => tile.level())),
    ];
  }

  close() {
    this.observer.disconnect();
    for (const end of this.ends) end();
    for (const tile of this.tiles.values()) tile.remove();
  }

  /** Several changes of one turn are one drawing. */
  schedule() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.draw(); });
  }

  /** @param {'self' | 'person' | 'screen'} kind @param {string} id @param {string} source */
  tile(kind, id, source) {
    const known = this.tiles.get(source);
    if (known) return known;
    const made = new Tile(kind, id, source, this.actions);
    this.tiles.set(source, made);
    this.list.append(made.el);
    return made;
  }

  draw() {
    const { state } = store;
    const others = [...state.people.keys()].map((id) => this.tile('person', id, `${id}-v0`));
    const shared = screens(state).map((s) => this.tile('screen', s.owner, s.name));
    const self = this.tile('self', state.self.id, 'self');
    const wanted = new Set([...others, ...shared, self]);
    for (const [source, tile] of this.tiles) {
      if (wanted.has(tile)) { tile.update(); continue; }
      tile.remove();
      this.tiles.delete(source);
    }
    if (this.size.width < 1 || this.size.height < 1) return;
    const placed = this.place(others, shared, self);
    for (const tile of wanted) {
      const rect = placed.get(tile);
      if (rect) tile.move(rect);
      tile.show(rect !== undefined);
    }
    this.order([...placed.keys()]);
    this.list.classList.toggle('is-alone', others.length === 0);
    this.list.classList.toggle('is-solo', others.length <= 1 && shared.length === 0);
    this.ask(placed);
  }

  /** The order in the document is the order on the screen. @param {Tile[]} tiles */
  order(tiles) {
    let before = null;
    for (const { el } of [...tiles].reverse()) {
      // a tile in its place is not touched: moving a <video> in the tree would pause it
      if (el.nextElementSibling !== before) this.list.insertBefore(el, before);
      before = el;
    }
  }

  /** @param {Tile[]} others @param {Tile[]} shared @param {Tile} self @returns {Map<Tile, Rect>} */
  place(others, shared, self) {
    const { view } = store.state;
    const isFloating = others.length === 1 && shared.length === 0 && view.pinned !== 'self';
    const rest = view.hideSelf || isFloating ? others : [...others, self];
    const main = this.main(others, shared, self);
    const placed = main && view.mode === 'stage' && others.length > 0
      ? this.placeStage(main, [...shared, ...rest].filter((tile) => tile !== main))
      : this.placeGrid([...shared, ...rest]);
    if (isFloating && !view.hideSelf && placed.size > 0) placed.set(self, selfLayout(this.size));
    self.el.classList.toggle('tile--self', isFloating);
    return placed;
  }

  /** Pinned, else the newest screen, else who speaks. @param {Tile[]} others @param {Tile[]} shared @param {Tile} self */
  main(others, shared, self) {
    const { view, speaker } = store.state;
    return [...shared, ...others, self].find((tile) => tile.source === view.pinned)
      ?? shared[0] ?? others.find((tile) => tile.id === speaker.stage) ?? others[0];
  }

  /** @param {Tile[]} tiles */
  placeGrid(tiles) {
    const { width } = this.size;
    let { height } = this.size;
    const gap = width < 640 ? 6 : 8;
    let size = pageSize(width, height, gap);
    if (tiles.length > size) {
      height -= PAGER_ROOM;
      size = pageSize(width, height, gap);
    }
    const pages = Math.max(1, Math.ceil(tiles.length / size));
    this.page = Math.min(this.page, pages - 1);
    const shown = tiles.slice(this.page * size, (this.page + 1) * size);
    const grid = gridLayout({ width, height, count: shown.length, gap, prevCols: this.columns });
    this.columns = grid.cols;
    this.drawPager(pages);
    this.more.hidden = true;
    /** @type {Map<Tile, Rect>} */
    const placed = new Map();
    shown.forEach((tile, i) => { const r = grid.tiles[i]; if (r) placed.set(tile, r); });
    return placed;
  }

  /** @param {Tile} main @param {Tile[]} rest */
  placeStage(main, rest) {
    this.drawPager(1);
    const { width, height } = this.size;
    const { videoWidth, videoHeight } = main.video;
    const aspect = main.kind === 'screen' ? (videoWidth / videoHeight || 16 / 9) : 0;
    const layout = stageLayout({
      width, height, others: rest.length, gap: width < 640 ? 6 : 8, shareAspect: aspect,
    });
    /** @type {Map<Tile, Rect>} */
    const placed = new Map([[main, layout.main]]);
    // self always keeps the last place of the strip
    const room = layout.thumbs.length;
    const last = rest.at(-1);
    const shown = rest.length > room && last ? [...rest.slice(0, room - 1), last] : rest;
    shown.forEach((tile, i) => { const r = layout.thumbs[i]; if (r) placed.set(tile, r); });
    this.drawMore(rest.length - shown.length, layout.thumbs.at(-2));
    return placed;
  }

  /** @param {number} hidden @param {Rect | undefined} at */
  drawMore(hidden, at) {
    this.more.hidden = hidden < 1 || !at;
    if (this.more.hidden || !at) return;
    this.more.replaceChildren(icon('people', 'icon--xs'), t('t.moreN', { n: hidden }));
    this.more.style.insetInlineEnd = `${this.size.width - at.x - at.w + 6}px`;
    this.more.style.top = `${at.y + 6}px`;
  }

  /** @param {number} pages */
  drawPager(pages) {
    this.pager.hidden = pages < 2;
    if (pages < 2) return;
    /** @param {number} step @param {string} ic @param {string} label */
    const turn = (step, ic, label) => h('button', {
      type: 'button', 'aria-label': t(label),
      disabled: this.page + step < 0 || this.page + step >= pages,
      onclick: () => { this.page += step; this.draw(); },
    }, icon(ic));
    const text = t('m.page', { a: this.page + 1, b: pages });
    this.pager.setAttribute('aria-label', t('m.stage'));
    this.pager.replaceChildren(h('div', null, turn(-1, 'chevron-left', 'm.prev'),
      h('span', { class: 'num', role: 'img', 'aria-label': text }, `${this.page + 1} / ${pages}`),
      turn(1, 'chevron-right', 'm.next')));
  }

  /** Asks the bridge for the pictures that are seen, at the size they are seen. @param {Map<Tile, Rect>} placed */
  ask(placed) {
    /** @type {Map<string, number>} */
    const heights = new Map();
    for (const [tile, rect] of placed) {
      if (tile.kind === 'self') continue;
      const pixels = rect.h * devicePixelRatio;
      // a screen has one size, and its letters need all of it
      const step = tile.kind === 'screen' ? 2160 : STEPS.find((s) => s >= pixels) ?? 2160;
      const source = tile.kind === 'screen' ? tile.source
        : cameraOf(store.state, tile.id)?.name ?? `${tile.id}-v0`;
      heights.set(source, step);
    }
    const first = [...placed.keys()][0];
    const isStage = store.state.view.mode === 'stage' && first && first.kind !== 'self';
    const onStage = isStage ? [first.source] : [];
    const text = JSON.stringify([[...heights], onStage]);
    if (text === this.asked) return;
    this.asked = text;
    want(heights, onStage);
  }

  /** What was asked last. @type {string | undefined} */
  asked;
}
