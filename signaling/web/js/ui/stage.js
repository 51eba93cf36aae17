// The stage: which tiles there are, where they lie, and what the bridge is asked for because of it.
import { setView, stopScreen, want } from '../app.js';
import { arrange, h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { cameraOf, screens, store } from '../store.js';
import { gridLayout, pageSize, selfLayout, stageLayout } from './layout.js';
import { Seats } from './seats.js';
import { cornerByKey, draggable } from './self-view.js';
import { Tile } from './tile.js';

/** @typedef {import('./layout.js').Rect} Rect */

const STEPS = [180, 360, 720];
const PAGER_ROOM = 48;
const SWIPE = 60;
/** A tile of the strip with room for a hand and "3 more" in words, px. */
const ROOM_FOR_WORDS = 160;

/**
 * @typedef {import('./tile.js').TileActions & { people: () => void }} StageActions
 */

export class Stage {
  /** @param {StageActions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Map<string, Tile>} by name of the source */
    this.tiles = new Map();
    /** @type {Map<Tile, Rect>} what is seen, in its order */
    this.placed = new Map();
    this.seats = new Seats();
    this.page = 0;
    this.perPage = 25;
    this.columns = 0;
    /** @type {import('./self-view.js').Corner} */
    this.corner = 'se';
    this.hasStrip = true;
    /** Whether the view was changed by a shared screen, and may be changed back by its end. */
    this.isLent = false;
    this.wasShared = false;
    /** @type {string | undefined} what was asked last */
    this.asked = undefined;
    this.list = h('ul', {
      class: 'tiles', id: 'tiles', role: 'list',
      onkeydown: (/** @type {KeyboardEvent} */ e) => this.key(e),
      onfocusin: (/** @type {FocusEvent} */ e) => this.focused(/** @type {Element} */ (e.target)),
    });
    this.more = h('button', {
      class: 'strip-more', type: 'button', hidden: true, onclick: () => actions.people(),
    });
    this.title = h('h1', { class: 'vh', id: 'title' }, store.state.room.title);
    /** @param {number} step @param {string} ic */
    const turn = (step, ic) => h('button', { type: 'button', onclick: () => this.turn(step) }, icon(ic));
    this.before = turn(-1, 'chevron-left');
    this.after = turn(1, 'chevron-right');
    this.pageNumber = h('span', { class: 'num', role: 'img' });
    this.pages = 1;
    this.pager = h('nav', { class: 'pager', hidden: true },
      h('div', null, this.before, this.pageNumber, this.after));
    this.shareText = h('span');
    this.shareStop = h('button', {
      class: 'btn btn--sm btn--danger', type: 'button', onclick: () => { void stopScreen(); },
    });
    this.sharebar = h('div', { class: 'sharebar', hidden: true }, icon('screen'), this.shareText, this.shareStop);
    this.el = h('main', { class: 'stage', id: 'stage', tabindex: '-1' },
      this.title, this.list, this.pager, this.more, this.sharebar);
    this.swipes();
    this.size = { width: 0, height: 0 };
    this.pending = false;
    this.observer = new ResizeObserver(([e]) => {
      if (!e) return;
      this.size = { width: e.contentRect.width, height: e.contentRect.height };
      this.draw();
    });
    this.observer.observe(this.el);
    this.ends = ['people', 'sources', 'self', 'speaker', 'switches']
      .map((topic) => store.on(topic, () => this.schedule()));
    this.ends.push(store.on('view', () => this.schedule()), store.on('levels', () => this.levels()));
    this.draw();
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
    if (kind === 'self') draggable(made.el, this.list, (corner) => { this.corner = corner; this.draw(); });
    if (kind === 'screen') made.video.addEventListener('resize', () => this.schedule());
    return made;
  }

  levels() {
    for (const tile of this.tiles.values()) tile.level();
    const { state } = store;
    const seats = [...state.people.values()].map(({ id, speaking, spokeAt, hand }) => (
      { id, speaking, spokeAt, keeps: hand !== null || state.view.pinned === `${id}-v0` }));
    const from = this.page * this.perPage;
    if (this.seats.tick(seats, { from, to: from + this.perPage }, Date.now())) this.schedule();
  }

  draw() {
    const { state } = store;
    const others = this.seats.arrange([...state.people.keys()])
      .map((id) => this.tile('person', id, `${id}-v0`));
    const shared = screens(state).map((s) => this.tile('screen', s.owner, s.name));
    const self = this.tile('self', state.self.id, 'self');
    this.followShares(shared.length > 0);
    const wanted = new Set([...others, ...shared, self]);
    const hadFocus = this.list.contains(document.activeElement);
    for (const [source, tile] of this.tiles) {
      if (wanted.has(tile)) { tile.update(); continue; }
      tile.remove();
      this.tiles.delete(source);
    }
    this.drawTexts();
    if (this.size.width < 1 || this.size.height < 1) return;
    this.placed = this.place(others, shared, self);
    for (const tile of wanted) {
      const rect = this.placed.get(tile);
      if (rect) tile.move(rect);
      tile.show(rect !== undefined);
    }
    const seen = [...this.placed.keys()];
    arrange(this.list, [...seen, ...[...wanted].filter((tile) => !this.placed.has(tile))].map((tile) => tile.el));
    this.list.classList.toggle('is-alone', others.length === 0);
    this.list.classList.toggle('is-solo', this.isSolo(seen));
    if (!seen.some((tile) => tile.el.tabIndex === 0)) seen[0]?.setStop(true);
    // the tile with the focus has gone, or left the page
    if (hadFocus && !this.list.contains(document.activeElement)) seen[0]?.el.focus({ preventScroll: true });
    this.ask();
  }

  /** One picture fills the stage. @param {Tile[]} seen */
  isSolo(seen) {
    return seen.filter((tile) => !tile.el.classList.contains('tile--self')).length === 1
      && seen[0]?.kind !== 'screen';
  }

  drawTexts() {
    const { self, room } = store.state;
    this.title.textContent = room.title;
    this.list.setAttribute('aria-label', t('m.stage'));
    this.sharebar.hidden = !self.screen.on;
    this.shareText.textContent = t('m.shareNote');
    this.shareStop.textContent = t('m.unshare');
  }

  /** A share brings everyone to speaker view; its end brings back who has not touched the view. @param {boolean} isShared */
  followShares(isShared) {
    const { mode, pinned } = store.state.view;
    if (isShared && !this.wasShared && mode === 'tile') {
      setView('stage');
      this.isLent = true;
    } else if (!isShared && this.wasShared && this.isLent) {
      if (mode === 'stage' && !pinned) setView('tile');
      this.isLent = false;
    } else if (mode === 'tile') this.isLent = false;
    this.wasShared = isShared;
  }

  /** @param {Tile[]} others @param {Tile[]} shared @param {Tile} self @returns {Map<Tile, Rect>} */
  place(others, shared, self) {
    const { view } = store.state;
    const isStage = view.mode === 'stage' && others.length > 0;
    const isFloating = view.pinned !== 'self' && others.length > 0
      && ((others.length === 1 && shared.length === 0) || (isStage && !this.hasStrip));
    const isHidden = view.hideSelf && others.length > 0 && view.pinned !== 'self';
    const rest = isHidden || isFloating ? others : [...others, self];
    const main = isStage ? this.main(others, shared, self) : undefined;
    const placed = main
      ? this.placeStage(main, [...shared, ...rest].filter((tile) => tile !== main))
      : this.placeGrid([...shared, ...rest]);
    if (isFloating && !isHidden) placed.set(self, selfLayout({ ...this.size, corner: this.corner }));
    self.el.classList.toggle('tile--self', isFloating);
    return placed;
  }

  /** Pinned, else the newest screen, else who speaks. @param {Tile[]} others @param {Tile[]} shared @param {Tile} self */
  main(others, shared, self) {
    const { view, speaker } = store.state;
    return [...shared, ...others, self].find((tile) => tile.source === view.pinned)
      ?? shared[0] ?? others.find((tile) => tile.id === speaker.stage) ?? others[0];
  }

  gap() { return innerWidth < 640 ? 6 : 8; }

  /** @param {Tile[]} tiles */
  placeGrid(tiles) {
    const { width } = this.size;
    let { height } = this.size;
    const gap = this.gap();
    let size = pageSize(width, height, gap);
    if (tiles.length > size) {
      height -= PAGER_ROOM;
      size = pageSize(width, height, gap);
    }
    const pages = Math.max(1, Math.ceil(tiles.length / size));
    this.page = Math.min(this.page, pages - 1);
    this.perPage = size;
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
      width, height, others: rest.length, gap: this.gap(), shareAspect: aspect,
      strip: this.hasStrip ? 'auto' : 'none',
    });
    /** @type {Map<Tile, Rect>} */
    const placed = new Map([[main, layout.main]]);
    // self always keeps the last place of the strip
    const room = layout.thumbs.length;
    const last = rest.at(-1);
    const isCut = rest.length > room && room > 0 && last;
    const shown = isCut ? [...rest.slice(0, room - 1), last] : rest.slice(0, room);
    shown.forEach((tile, i) => { const r = layout.thumbs[i]; if (r) placed.set(tile, r); });
    this.perPage = Math.max(1, room);
    this.drawMore(room > 1 ? rest.length - shown.length : 0, layout.thumbs.at(-2));
    return placed;
  }

  /** @param {number} hidden @param {Rect | undefined} at */
  drawMore(hidden, at) {
    this.more.hidden = hidden < 1 || !at;
    if (this.more.hidden || !at) return;
    const text = t('t.moreN', { n: hidden });
    this.more.setAttribute('aria-label', text);
    this.more.replaceChildren(...at.w < ROOM_FOR_WORDS ? [`+${hidden}`] : [icon('people', 'icon--xs'), text]);
    this.more.style.insetInlineEnd = `${this.size.width - at.x - at.w + 6}px`;
    this.more.style.top = `${at.y + 6}px`;
  }

  // ---------- pages

  /** @param {number} step */
  turn(step) {
    const next = this.page + step;
    if (next < 0 || next >= this.pages || next === this.page) return;
    this.page = next;
    this.draw();
  }

  /** @param {number} pages */
  drawPager(pages) {
    const { pager, before, after, pageNumber } = this;
    this.pages = pages;
    pager.hidden = pages < 2;
    pager.setAttribute('aria-label', t('m.pages'));
    before.disabled = this.page === 0;
    before.setAttribute('aria-label', t('m.prev'));
    after.disabled = this.page === pages - 1;
    after.setAttribute('aria-label', t('m.next'));
    pageNumber.setAttribute('aria-label', t('m.page', { a: this.page + 1, b: pages }));
    pageNumber.textContent = `${this.page + 1} / ${pages}`;
  }

  /** A finger that moves sideways turns the page. */
  swipes() {
    /** @type {{ x: number, y: number } | null} */
    let from = null;
    this.el.addEventListener('pointerdown', (e) => {
      const isSelf = /** @type {Element} */ (e.target).closest('.tile--self');
      from = e.pointerType === 'touch' && !isSelf ? { x: e.clientX, y: e.clientY } : null;
    });
    this.el.addEventListener('pointerup', (e) => {
      if (!from) return;
      const x = e.clientX - from.x;
      if (Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(e.clientY - from.y)) this.turn(x < 0 ? 1 : -1);
      from = null;
    });
  }

  // ---------- keyboard

  /** The tile with the focus is the one stop of Tab in the list. @param {Element} target */
  focused(target) {
    const now = target.closest('.tile');
    for (const tile of this.tiles.values()) tile.setStop(tile.el === now);
  }

  /** Arrows move between tiles, or the floating picture of oneself; Enter opens the menu. @param {KeyboardEvent} e */
  key(e) {
    const seen = [...this.placed.keys()];
    const at = seen.findIndex((tile) => tile.el === document.activeElement);
    const tile = seen[at];
    if (!tile) return;
    if (e.key === 'Enter') { e.preventDefault(); tile.menuButton?.click(); return; }
    if (tile.el.classList.contains('tile--self')) {
      const corner = cornerByKey(this.corner, e.key);
      if (corner) { this.corner = corner; e.preventDefault(); this.draw(); return; }
    }
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns || 1, ArrowUp: -(this.columns || 1) };
    const step = steps[e.key];
    const next = e.key === 'Home' ? seen[0] : e.key === 'End' ? seen.at(-1) : step ? seen[at + step] : undefined;
    if (!next) return;
    e.preventDefault();
    next.el.focus({ preventScroll: true });
  }

  toggleStrip() {
    this.hasStrip = !this.hasStrip;
    this.draw();
  }

  /** The source of the nth other person, for the keys 1 to 9. @param {number} n */
  sourceOf(n) {
    const id = this.seats.order[n - 1];
    return id === undefined ? null : `${id}-v0`;
  }

  // ---------- the bridge

  /** Asks the bridge for the pictures that are seen, at the size they are seen. */
  ask() {
    const { maxHeight, mode } = store.state.view;
    /** @type {Map<string, number>} */
    const heights = new Map();
    for (const [tile, rect] of this.placed) {
      if (tile.kind === 'self') continue;
      const pixels = rect.h * devicePixelRatio;
      const step = STEPS.find((s) => s >= pixels) ?? 2160;
      const isScreen = tile.kind === 'screen';
      const source = isScreen ? tile.source : cameraOf(store.state, tile.id)?.name ?? `${tile.id}-v0`;
      // a screen has one size, and its letters need all of it
      heights.set(source, isScreen ? 2160 : maxHeight ? Math.min(maxHeight, step) : step);
    }
    const first = [...this.placed.keys()][0];
    const onStage = mode === 'stage' && first && first.kind !== 'self' ? [first.source] : [];
    const text = JSON.stringify([[...heights], onStage]);
    if (text === this.asked) return;
    this.asked = text;
    want(heights, onStage);
  }
}
