// Language: boot.js has chosen it; its words are the only ones that are loaded. Applied in place, no reload.
const KEY = 'trestle.lang';

/** @typedef {Record<string, any>} Words */
/** @param {string} name @returns {Promise<Words>} */
const load = async (name) => (await import(`../lang/${name}.js`)).default;

/** @type {'en' | 'ru'} */
let lang = document.documentElement.lang === 'ru' ? 'ru' : 'en';
let words = await load(lang).catch(/** @type {any} */ (window).trestleLoad.failed);

export const getLang = () => lang;

/**
 * The string of `key` with `{x}` replaced; a plural is chosen by `vars.n`.
 * @param {string} key
 * @param {Record<string, any>} [vars]
 * @returns {string}
 */
export function t(key, vars = {}) {
  let s = words[key];
  if (s === undefined) { console.warn('missing string', key); return key; }
  if (typeof s === 'object') s = s[new Intl.PluralRules(lang).select(vars.n ?? 0)] ?? s.other ?? '';
  return s.replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ k) => String(vars[k] ?? ''));
}

/**
 * data-t="key" sets text, data-t-lines sets it so that lines break between sentences; data-t-label,
 * data-t-ph set aria-label, placeholder.
 * @param {ParentNode} [root]
 */
export function applyStrings(root = document) {
  /** @param {string} sel @returns {NodeListOf<HTMLElement>} */
  const all = (sel) => root.querySelectorAll(sel);
  for (const el of all('[data-t]')) el.textContent = t(el.dataset.t ?? '', el.dataset);
  for (const el of all('[data-t-lines]')) {
    el.replaceChildren(...t(el.dataset.tLines ?? '').split(/(?<=\.) /).flatMap((sentence) => {
      const span = document.createElement('span');
      span.textContent = sentence;
      return [span, ' '];
    }));
  }
  for (const el of all('[data-t-label]')) {
    el.setAttribute('aria-label', t(el.dataset.tLabel ?? '', el.dataset));
  }
  for (const el of all('[data-t-ph]')) {
    el.setAttribute('placeholder', t(el.dataset.tPh ?? '', el.dataset));
  }
}

/** Never rejects. @param {string} next */
export async function setLang(next) {
  const name = next === 'ru' ? 'ru' : 'en';
  try { localStorage.setItem(KEY, name); } catch { /* private mode */ }
  try { words = await load(name); } catch (e) {
    console.warn('words', e); // they come with the next page
    return;
  }
  lang = name;
  document.documentElement.lang = lang;
  applyStrings();
  document.dispatchEvent(new CustomEvent('langchange'));
}

applyStrings();
delete document.documentElement.dataset.words;
