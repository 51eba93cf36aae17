// Control bar overflow. Sizes are constants of the design, so nothing is measured and nothing thrashes. Final.

/**
 * Order of dropping: the highest `prio` number goes into "More" first. prio 0 never goes.
 * @param {number} width
 * @param {{ id: string, prio: number, w: number }[]} items
 * @param {{ gap?: number, more?: number }} [sizes]
 * @returns {Set<string>} ids of those that stay
 */
export function fitControls(width, items, { gap = 8, more = 48 } = {}) {
  const shown = new Set(items.map((i) => i.id));
  const total = () => items.reduce((s, i) => s + (shown.has(i.id) ? i.w + gap : 0), -gap) + more + gap;
  const order = items.filter((i) => i.prio > 0).sort((a, b) => b.prio - a.prio);
  for (const i of order) { if (total() <= width) break; shown.delete(i.id); }
  return shown;
}

/**
 * `inner` is the room for the buttons: the whole bar below 1024 px, the bar less twice the info corner above.
 * @param {HTMLElement} bar
 * @param {(shown: Set<string>, phone: boolean) => void} onFit
 */
export function watchControls(bar, onFit) {
  const ro = new ResizeObserver(([e]) => {
    if (!e) return;
    const w = e.contentRect.width, wide = matchMedia('(min-width: 1024px)').matches, phone = w < 624;
    const hit = matchMedia('(max-height: 480px)').matches ? 44 : 48;
    const splitW = phone ? hit : hit + 28;
    const items = [...bar.querySelectorAll('[data-ctl][data-prio]')].map((n) => /** @type {HTMLElement} */ (n)).map((el) => ({ id: el.dataset.ctl ?? '', prio: Number(el.dataset.prio ?? 0), w: el.classList.contains('split') ? splitW : el.dataset.ctl === 'leave' ? (phone ? 52 : 64) : hit }));
    bar.dataset.phone = String(phone);
    onFit(fitControls(wide ? w - 200 : w, items, { gap: phone ? 4 : 8, more: hit }), phone);
  });
  ro.observe(bar);
}
