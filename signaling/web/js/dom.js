// Tiny DOM helpers; no markup strings, so no injection and no CSP trouble.
const SVG = 'http://www.w3.org/2000/svg';
const SPRITE = new URL('../icons.svg', import.meta.url).pathname;

/**
 * An element. `class`, `data` and `on…` are special, every other property is an attribute.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any> | null} [props]
 * @param {...any} kids nodes, strings or nested lists; null, undefined and false are left out
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...kids) {
  const el = document.createElement(tag);
  for (const [k, v] of Object.entries(props ?? {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k === 'class') el.className = v;
    else if (k.startsWith('on')) el.addEventListener(k.slice(2), v);
    else if (k === 'data') Object.assign(el.dataset, v);
    else el.setAttribute(k, v === true ? '' : String(v));
  }
  el.append(...kids.flat(9).filter((k) => k !== null && k !== undefined && k !== false));
  return el;
}

/** @param {string} name @param {string} [cls] */
export function icon(name, cls = '') {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `icon ${cls}`.trim());
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * Swap the picture of an existing icon in place (keeps the element, so no flash).
 * @param {ParentNode} root @param {string} name
 */
export function setIcon(root, name) {
  const use = root.querySelector('use');
  const href = `${SPRITE}#${name}`;
  if (use && use.getAttribute('href') !== href) use.setAttribute('href', href);
}

/** The loader: five braces of a truss. @param {string} [cls] */
export function truss(cls = '') {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `truss ${cls}`.trim());
  svg.setAttribute('viewBox', '0 0 66 24');
  svg.setAttribute('aria-hidden', 'true');
  for (let i = 0; i < 5; i++) {
    const p = document.createElementNS(SVG, 'path');
    const x = i * 11;
    p.setAttribute('d', i % 2 ? `M${x + 2} 2h18L${x + 11} 22z` : `M${x + 2} 22h18L${x + 11} 2z`);
    svg.append(p);
  }
  return svg;
}

/**
 * The one element that `sel` names; it has to be there.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} sel @param {ParentNode} [root]
 * @returns {T}
 */
export function $(sel, root = document) {
  const el = root.querySelector(sel);
  if (!el) throw new Error(`no ${sel} on this page`);
  return /** @type {T} */ (el);
}

/** @param {string} sel @param {ParentNode} [root] @returns {HTMLElement[]} */
export const $$ = (sel, root = document) => [...root.querySelectorAll(sel)]
  .map((el) => /** @type {HTMLElement} */ (el));

/**
 * Puts children in this order; one that is in its place is not touched, and neither a <video> nor
 * the focus notices the move.
 * @param {HTMLElement} parent @param {HTMLElement[]} children
 */
export function arrange(parent, children) {
  const focused = document.activeElement;
  /** @type {HTMLElement | null} */
  let next = null;
  for (const child of [...children].reverse()) {
    if (child.parentNode !== parent || child.nextElementSibling !== next) place(parent, child, next);
    next = child;
  }
  const isLost = focused !== document.activeElement && parent.contains(focused);
  if (isLost) /** @type {HTMLElement} */ (focused).focus({ preventScroll: true });
}

/** @param {any} parent @param {HTMLElement} child @param {HTMLElement | null} next */
function place(parent, child, next) {
  if (child.isConnected && parent.moveBefore) parent.moveBefore(child, next);
  else parent.insertBefore(child, next);
}
