// Language: the stored choice, then the browser's list. Applied in place, no reload.
import en from '../lang/en.js';
import ru from '../lang/ru.js';

const KEY = 'trestle.lang';
const strings = { en, ru };

function stored() {
  try { return localStorage.getItem(KEY); } catch { return null; } // private mode
}

/** @type {'en' | 'ru'} */
let lang = (stored() ?? navigator.language).startsWith('ru') ? 'ru' : 'en';
document.documentElement.lang = lang;

export const getLang = () => lang;

/**
 * The string of `key` with `{x}` replaced; a plural is chosen by `vars.n`.
 * @param {string} key
 * @param {Record<string, any>} [vars]
 * @returns {string}
 */
export function t(key, vars = {}) {
  let s = strings[lang][key];
  if (s === undefined) { console.warn('missing string', key); return key; }
  if (typeof s === 'object') s = s[new Intl.PluralRules(lang).select(vars.n ?? 0)] ?? s.other ?? '';
  return s.replace(/\{(\w+)\}/g, (_, k) => String(vars[k] ?? ''));
}

/**
 * data-t="key" sets text; data-t-label, data-t-ph set aria-label, placeholder.
 * @param {ParentNode} [root]
 */
export function applyStrings(root = document) {
  /** @param {string} sel @returns {NodeListOf<HTMLElement>} */
  const all = (sel) => root.querySelectorAll(sel);
  for (const el of all('[data-t]')) el.textContent = t(el.dataset.t ?? '', el.dataset);
  for (const el of all('[data-t-label]')) {
    el.setAttribute('aria-label', t(el.dataset.tLabel ?? '', el.dataset));
  }
  for (const el of all('[data-t-ph]')) {
    el.setAttribute('placeholder', t(el.dataset.tPh ?? '', el.dataset));
  }
}

/** @param {string} next */
export function setLang(next) {
  lang = next === 'ru' ? 'ru' : 'en';
  document.documentElement.lang = lang;
  try { localStorage.setItem(KEY, lang); } catch { /* private mode */ }
  applyStrings();
  document.dispatchEvent(new CustomEvent('langchange'));
}
