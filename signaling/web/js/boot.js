// Blocking on purpose (one short file in <head>): theme and language are known before the first paint, so
// that nothing flashes, and what the first paint does without is asked for after it. CSP-safe: not inline.
(function () {
  var html = document.documentElement;
  /** @param {string} key @returns {string | null} */
  function stored(key) { try { return localStorage.getItem(key); } catch (e) { return null; } } // private mode

  var want = new URLSearchParams(location.search).get('theme') || stored('trestle.theme') || 'auto';
  var dark = matchMedia('(prefers-color-scheme: dark)');
  function put() { html.dataset.theme = want === 'auto' ? (dark.matches ? 'dark' : 'light') : want; }
  put();
  dark.addEventListener('change', put);
  /** @type {any} */ (window).trestleTheme = {
    get: function () { return want; },
    /** @param {string} next */
    set: function (next) {
      want = next;
      try { localStorage.setItem('trestle.theme', want); } catch (e) { /* private mode */ }
      put();
    },
  };

  var lang = (stored('trestle.lang') || navigator.language).indexOf('ru') === 0 ? 'ru' : 'en';
  // a page with words of another language waits for those of this one
  if (html.dataset.words && html.dataset.words !== lang) html.dataset.words = 'wait';
  html.lang = lang;
  var words = document.createElement('link');
  words.rel = 'modulepreload';
  words.href = new URL('../lang/' + lang + '.js', /** @type {HTMLScriptElement} */ (document.currentScript).src).href;
  document.head.append(words);

  // who goes into the meeting at once has no page before it
  var isAtOnce = /[#&]config\.prejoin(Config\.e|PageE)nabled=false/.test(location.hash);
  if (isAtOnce) html.dataset.start = 'meeting';
  /** @param {string} id */
  function load(id) {
    var held = /** @type {HTMLTemplateElement | null} */ (document.getElementById(id));
    if (held) document.head.append(held.content); // empty from the second time on
  }
  function rest() {
    load('rest');
    if (isAtOnce) load('meeting');
  }
  document.addEventListener('DOMContentLoaded', function () {
    // a page in the background is not painted
    if (isAtOnce || document.hidden || !window.PerformanceObserver) { rest(); return; }
    new PerformanceObserver(function (list) {
      if (list.getEntriesByName('first-contentful-paint').length > 0) rest();
    }).observe({ type: 'paint', buffered: true });
    setTimeout(rest, 1000);
  });
})();
