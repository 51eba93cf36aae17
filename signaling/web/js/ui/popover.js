// Menus and pop-overs on the HTML popover attribute: top layer, light dismiss and Esc come from the browser.
// What is ours: placing, arrow keys, one tooltip. Final.
import { sheet } from './sheet.js';

const MARGIN = 8;

/**
 * @typedef {{ side?: string, align?: string, once?: boolean, focus?: boolean }} PopOptions
 *
 * @param {HTMLElement} el @param {Element} anchor @param {PopOptions} [opt]
 */
export function place(el, anchor, { side = 'top', align = 'center' } = {}) {
  const a = anchor.getBoundingClientRect(), w = el.offsetWidth, hgt = el.offsetHeight;
  const vw = document.documentElement.clientWidth, vh = window.innerHeight;
  let x = align === 'start' ? a.left : align === 'end' ? a.right - w : a.left + a.width / 2 - w / 2;
  let y = side === 'top' ? a.top - hgt - MARGIN : a.bottom + MARGIN;
  if (y < MARGIN) y = Math.min(a.bottom + MARGIN, vh - hgt - MARGIN);
  if (y + hgt > vh - MARGIN) y = Math.max(MARGIN, a.top - hgt - MARGIN);
  x = Math.max(MARGIN, Math.min(x, vw - w - MARGIN));
  el.style.left = `${Math.round(x)}px`;
  el.style.top = `${Math.round(Math.max(MARGIN, y))}px`;
}

/** @param {HTMLElement} el @param {HTMLElement} anchor @param {PopOptions} [opt] */
export function openPop(el, anchor, opt = {}) {
  if (!el.isConnected) (anchor.closest('main, aside, header, section[aria-label]') ?? document.body).append(el); // inside a landmark, right after its opener
  if (!el.hasAttribute('popover')) el.setAttribute('popover', 'auto');
  if (el.matches('.pop--sheet:not(:has(> .grip))')) sheet(el, () => el.hidePopover());
  if (el.matches(':popover-open')) { el.hidePopover(); return; }
  el.showPopover();
  el.classList.toggle('is-long', el.scrollHeight > el.clientHeight);
  place(el, anchor, opt);
  anchor.setAttribute('aria-expanded', 'true');
  /** @param {Event} e that it was opened is told as well, and comes first */
  const toggled = (e) => {
    if (/** @type {ToggleEvent} */ (e).newState !== 'closed') return;
    el.removeEventListener('toggle', toggled);
    anchor.setAttribute('aria-expanded', 'false');
    if (opt.once) el.remove();
  };
  el.addEventListener('toggle', toggled);
  /** @type {HTMLElement | null} */
  const first = el.querySelector('[aria-checked="true"][role="menuitemradio"], [role^="menuitem"], button:not(:disabled), input, a');
  if (opt.focus !== false) first?.focus({ preventScroll: true });
}

/**
 * Arrow keys, Home, End and first letter inside role=menu, role=tablist and role=radiogroup.
 * @param {HTMLElement} root @param {string} [sel]
 */
export function rove(root, sel = '[role^="menuitem"], [role="tab"]') {
  root.addEventListener('keydown', (e) => {
    const items = [...root.querySelectorAll(sel)].map((n) => /** @type {HTMLButtonElement} */ (n))
      .filter((i) => i.offsetParent && !i.disabled);
    const i = items.findIndex((it) => it === document.activeElement);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    const step = steps[e.key];
    let next;
    if (step) next = items[(i + step + items.length) % items.length];
    else if (e.key === 'Home') next = items[0];
    else if (e.key === 'End') next = items.at(-1);
    else if (e.key.length === 1 && /\p{L}/u.test(e.key)) next = [...items.slice(i + 1), ...items].find((it) => (it.textContent ?? '').trim().toLowerCase().startsWith(e.key.toLowerCase()));
    if (next) { next.focus(); e.preventDefault(); e.stopPropagation(); }
  });
}

/**
 * One tooltip element for the page. Mouse: after 450 ms; keyboard: at once; touch: never.
 * @param {Document | HTMLElement} [root]
 */
export function tooltips(root = document) {
  const tip = document.createElement('div');
  tip.className = 'tip'; tip.setAttribute('popover', 'manual'); tip.setAttribute('aria-hidden', 'true');
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {HTMLElement | null} */
  let current = null;
  const hide = () => { clearTimeout(timer); current = null; if (tip.matches(':popover-open')) tip.hidePopover(); };
  /** @param {HTMLElement} el */
  const show = (el) => {
    const label = el.dataset.tip ?? el.getAttribute('aria-label');
    if (!label || el.getAttribute('aria-expanded') === 'true') return;
    tip.replaceChildren(label);
    if (el.dataset.key) { const k = document.createElement('kbd'); k.textContent = el.dataset.key; tip.append(k); }
    if (!el.isConnected) return;
    if (!tip.isConnected) document.body.append(tip); // a new page may have taken the place of the old one
    tip.showPopover(); place(tip, el);
  };
  /** @param {PointerEvent} e */
  const over = (e) => {
    if (e.pointerType === 'touch') return;
    /** @type {HTMLElement | null} */
    const el = /** @type {Element} */ (e.target).closest?.('.ctl, .ibtn, .tile__acts button, .reacts button, [data-tip]');
    if (el === current) return;
    hide(); current = el;
    if (el) timer = setTimeout(() => show(el), 450);
  };
  const on = /** @type {HTMLElement} */ (root);
  on.addEventListener('pointerover', over);
  on.addEventListener('pointerdown', hide);
  on.addEventListener('focusin', (e) => {
    hide();
    /** @type {HTMLElement | null} */
    const el = /** @type {Element} */ (e.target).closest?.('.ctl, .ibtn');
    // not within the turn: a menu that is just being shown moves the focus, too
    if (el && el.matches(':focus-visible')) { current = el; timer = setTimeout(() => show(el), 0); }
  });
  on.addEventListener('focusout', hide);
  addEventListener('resize', hide);
  on.addEventListener('keydown', (e) => { if (e.key === 'Escape') hide(); });
}
