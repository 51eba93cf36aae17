// Tile geometry. Pure functions: numbers in, rectangles out. Final: copy into the client with its tests.

/**
 * @typedef {{ x: number, y: number, w: number, h: number }} Rect
 * @typedef {{ cols: number, rows: number, w: number, h: number, area: number }} Grid
 */

export const MAX_TILES = 25;

/**
 * Allowed aspect range of a camera tile (width / height). Video is cropped (cover) inside it.
 * @param {number} width @param {number} height @param {number} count
 * @returns {[number, number]}
 */
export function aspectRange(width, height, count) {
  const portrait = height > width;
  if (portrait) return count === 1 ? [9 / 16, 16 / 9] : count === 2 ? [0.75, 16 / 9] : [0.8, 16 / 9];
  return [4 / 3, 16 / 9];
}

/**
 * How many tiles fit on one page before they get too small to read a face.
 * @param {number} width @param {number} height @param {number} gap
 */
export function pageSize(width, height, gap) {
  const [minW, minH] = /** @type {[number, number]} */ (width < 640 ? [148, 112] : [136, 84]);
  const cols = Math.max(1, Math.floor((width + gap) / (minW + gap)));
  const rows = Math.max(1, Math.floor((height + gap) / (minH + gap)));
  return Math.min(MAX_TILES, cols * rows);
}

/**
 * @param {number} cols
 * @param {{ width: number, height: number, count: number, gap: number, range: [number, number] }} area
 * @returns {Grid | null}
 */
function tryCols(cols, { width, height, count, gap, range }) {
  const rows = Math.ceil(count / cols);
  const cw = (width - gap * (cols - 1)) / cols;
  const ch = (height - gap * (rows - 1)) / rows;
  if (cw <= 0 || ch <= 0) return null;
  let w = cw, hgt = ch;
  const a = cw / ch;
  if (a > range[1]) w = ch * range[1];
  else if (a < range[0]) hgt = cw / range[0];
  // a ragged last row costs a little, so 3 x 3 beats 4 x 3 with three holes at nearly equal area
  const holes = cols * rows - count;
  return { cols, rows, w: Math.floor(w), h: Math.floor(hgt), area: w * hgt * count * (1 - 0.012 * holes) };
}

/**
 * Best grid: the column count with the largest total picture area.
 * `prevCols` gives hysteresis: a new column count must win by 6 %, so dragging a window edge does not make tiles jump.
 * @param {{ width: number, height: number, count: number, gap?: number, prevCols?: number }} area
 * @returns {{ cols: number, rows: number, w: number, h: number, tiles: Rect[] }}
 */
export function gridLayout({ width, height, count, gap = 8, prevCols = 0 }) {
  if (count < 1 || width < 1 || height < 1) return { cols: 0, rows: 0, w: 0, h: 0, tiles: [] };
  const range = aspectRange(width, height, count);
  const arg = { width, height, count, gap, range };
  /** @type {Grid | null} */
  let best = null;
  for (let c = 1; c <= count; c++) {
    const g = tryCols(c, arg);
    if (g && (!best || g.area > best.area)) best = g;
  }
  if (!best) return { cols: 0, rows: 0, w: 0, h: 0, tiles: [] };
  if (prevCols > 0 && prevCols <= count && prevCols !== best.cols) {
    const old = tryCols(prevCols, arg);
    if (old && best.area < old.area * 1.06) best = old;
  }
  const { cols, rows, w, h } = best;
  const top = Math.round((height - rows * h - (rows - 1) * gap) / 2);
  /** @type {Rect[]} */
  const tiles = [];
  for (let i = 0; i < count; i++) {
    const r = Math.floor(i / cols);
    const inRow = r === rows - 1 ? count - r * cols : cols;
    const left = Math.round((width - inRow * w - (inRow - 1) * gap) / 2);
    tiles.push({ x: left + (i - r * cols) * (w + gap), y: top + r * (h + gap), w, h });
  }
  return { cols, rows, w, h, tiles };
}

/**
 * Fit a box of aspect `a` into width x height, centred.
 * @param {number} width @param {number} height @param {number} a
 * @returns {Rect}
 */
export function fit(width, height, a) {
  const w = Math.min(width, height * a), h = w / a;
  return { x: Math.round((width - w) / 2), y: Math.round((height - h) / 2), w: Math.floor(w), h: Math.floor(h) };
}

/**
 * Stage: one large tile and the others in a strip. `shareAspect` is set for a screen (never cropped).
 * strip: 'right' on wide areas, 'bottom' on narrow ones, 'grid' under a share on portrait phones and tablets, 'none' when hidden.
 * @param {{ width: number, height: number, others: number, gap?: number, shareAspect?: number, strip?: string }} area
 * @returns {{ strip: string, main: Rect, thumbs: Rect[] }}
 */
export function stageLayout({ width, height, others, gap = 8, shareAspect = 0, strip = 'auto' }) {
  if (strip === 'auto') {
    if (others === 0) strip = 'none';
    else if (height > width) strip = shareAspect ? 'grid' : 'bottom';
    else strip = width >= 720 ? 'right' : (height < 420 ? 'right' : 'bottom');
  }
  let area = { x: 0, y: 0, w: width, h: height };
  /** @type {Rect[]} */
  const thumbs = [];
  if (strip === 'right') {
    const tw = Math.round(Math.min(232, Math.max(120, width * 0.15))), th = Math.round(tw * 9 / 16);
    const n = Math.min(others, Math.max(1, Math.floor((height + gap) / (th + gap))));
    area.w = width - tw - gap;
    const y0 = Math.round((height - n * th - (n - 1) * gap) / 2);
    for (let i = 0; i < n; i++) thumbs.push({ x: width - tw, y: y0 + i * (th + gap), w: tw, h: th });
  } else if (strip === 'bottom') {
    const th = Math.round(Math.min(124, Math.max(84, height * 0.16)));
    const tw = Math.round(th * (width < 640 ? 1 : 16 / 9));
    const n = Math.min(others, Math.max(1, Math.floor((width + gap) / (tw + gap))));
    area.h = height - th - gap;
    const x0 = Math.round((width - n * tw - (n - 1) * gap) / 2);
    for (let i = 0; i < n; i++) thumbs.push({ x: x0 + i * (tw + gap), y: height - th, w: tw, h: th });
  } else if (strip === 'grid') {
    area.h = Math.min(Math.round(height * 0.62), Math.ceil(width / shareAspect));
    const rest = height - area.h - gap;
    const n = Math.min(others, pageSize(width, rest, gap));
    for (const r of gridLayout({ width, height: rest, count: n, gap }).tiles) thumbs.push({ ...r, y: r.y + area.h + gap });
  }
  let main;
  if (shareAspect) main = fit(area.w, area.h, shareAspect);
  else {
    const a = Math.min(Math.max(area.w / area.h, 9 / 16), 2);
    main = fit(area.w, area.h, a);
  }
  return { strip, main: { ...main, x: main.x + area.x, y: main.y + area.y }, thumbs };
}

/**
 * Where the floating self-view sits (2 participants, or speaker view without strip). corner: 'se' | 'sw' | 'ne' | 'nw'.
 * @param {{ width: number, height: number, corner?: string, inset?: number }} area
 * @returns {Rect}
 */
export function selfLayout({ width, height, corner = 'se', inset = 12 }) {
  const portrait = height > width;
  const w = portrait ? Math.round(Math.min(132, width * 0.28)) : Math.round(Math.min(256, Math.max(132, width * 0.18)));
  const h = Math.round(portrait ? w * 4 / 3 : w * 9 / 16);
  return { x: corner.includes('e') ? width - w - inset : inset, y: corner.includes('s') ? height - h - inset : inset, w, h };
}
