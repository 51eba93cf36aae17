// The floating picture of oneself: it is dragged to one of four corners, or moved by arrow keys.

/** @typedef {'se' | 'sw' | 'ne' | 'nw'} Corner */

/**
 * The corner that a point is nearest to.
 * @param {{ x: number, y: number }} point @param {{ width: number, height: number }} area
 * @returns {Corner}
 */
export function cornerOf({ x, y }, { width, height }) {
  return /** @type {Corner} */ (`${y > height / 2 ? 's' : 'n'}${x > width / 2 ? 'e' : 'w'}`);
}

/**
 * The corner that an arrow key leads to, or null when it leads nowhere.
 * @param {Corner} corner @param {string} key @returns {Corner | null}
 */
export function cornerByKey(corner, key) {
  const [y, x] = corner;
  const next = { ArrowUp: `n${x}`, ArrowDown: `s${x}`, ArrowLeft: `${y}w`, ArrowRight: `${y}e` }[key];
  return next === undefined || next === corner ? null : /** @type {Corner} */ (next);
}

/**
 * Lets a tile be dragged while it floats.
 * @param {HTMLElement} el the tile @param {HTMLElement} area that it floats over
 * @param {(corner: Corner) => void} drop
 */
export function draggable(el, area, drop) {
  /** @type {{ x: number, y: number, left: number, top: number } | null} */
  let from = null;
  el.addEventListener('pointerdown', (e) => {
    const isButton = /** @type {Element} */ (e.target).closest('button');
    if (!el.classList.contains('tile--self') || e.button !== 0 || isButton) return;
    const frame = area.getBoundingClientRect();
    const box = el.getBoundingClientRect();
    from = { x: e.clientX, y: e.clientY, left: box.left - frame.left, top: box.top - frame.top };
    el.setPointerCapture(e.pointerId);
  });
  el.addEventListener('pointermove', (e) => {
    if (!from) return;
    const x = from.left + e.clientX - from.x;
    const y = from.top + e.clientY - from.y;
    el.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  });
  const end = () => {
    if (!from) return;
    from = null;
    const frame = area.getBoundingClientRect();
    const box = el.getBoundingClientRect();
    const point = { x: box.left + box.width / 2 - frame.left, y: box.top + box.height / 2 - frame.top };
    drop(cornerOf(point, frame));
  };
  el.addEventListener('pointerup', end);
  el.addEventListener('pointercancel', end);
}
