// What a screen reader says: two live regions, filled shortly after they were cleared so that the
// same words are said again.

const AFTER = 100;

/** @param {string} id */
function region(id) {
  /** @type {string[]} */
  let waiting = [];
  return (/** @type {string} */ text) => {
    const el = document.getElementById(id);
    if (!el || !text) return;
    waiting.push(text);
    if (waiting.length > 1) return;
    el.textContent = '';
    setTimeout(() => { el.textContent = waiting.join('. '); waiting = []; }, AFTER);
  };
}

/** Politely, when the reader has finished. */
export const say = region('say');
/** At once. */
export const alarm = region('alert');
