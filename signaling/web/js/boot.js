// Blocking on purpose (one short file in <head>): theme and language are known before the first paint, so
// that nothing flashes, what the first paint does without is asked for after it, and a file that does not
// come is noticed. CSP-safe: not inline.
(function () {
  // the pages ask for this file twice: what notices that a file did not come may be what did not come
  if (/** @type {any} */ (window).trestleLoad) return;
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
    if (isFailed) return; // another page takes the place of this one
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

  // A network that changes ends the requests of a page (Chromium: ERR_NETWORK_CHANGED), and browsers do not ask
  // for them again: the page is loaded anew, a few times in a row by itself, then when somebody says so.
  var WAITS = [500, 1000, 2000, 4000, 8000]; // ms
  var COUNT = 'trestle.loads'; // of this tab, since the page last ran
  var isFailed = false;
  /** @type {number | undefined} */
  var timer;

  /** @returns {number | undefined} none after the last one, and where nothing can be counted */
  function nextWait() {
    try {
      var loads = Number(sessionStorage.getItem(COUNT));
      sessionStorage.setItem(COUNT, String(loads + 1));
      return WAITS[loads];
    } catch (e) { return undefined; }
  }

  function retry() {
    clearTimeout(timer);
    var wait = nextWait();
    if (wait === undefined) say(); else timer = setTimeout(again, wait);
  }

  /** Only when the server answers: the browser's own page in place of this one would not go on by itself. */
  function again() {
    clearTimeout(timer);
    fetch(location.href, { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(5000) })
      .then(function (answer) { if (answer.ok) reload(); else retry(); }, retry);
  }

  function reload() {
    document.dispatchEvent(new Event('reload')); // who has something to hand over does it now
    location.reload();
  }

  /**
   * A file of the page did not come: another page takes the place of this one.
   * @returns {Promise<never>} for what cannot go on without the file
   */
  function failed() {
    if (!isFailed) {
      isFailed = true;
      addEventListener('online', again);
      retry();
    }
    return new Promise(function () {});
  }

  /** @type {HTMLElement | undefined} */
  var box;
  /** Legible with no style sheet, and apart from <body>, whose content is replaced when the page runs. */
  function say() {
    if (box) return;
    var isRussian = html.lang === 'ru';
    box = document.createElement('div');
    box.setAttribute('role', 'alert');
    box.style.cssText = 'position: fixed; inset: 0; z-index: 99; box-sizing: border-box; width: fit-content;'
      + 'height: fit-content; max-width: min(26rem, 100% - 2rem); margin: auto; padding: 1.5rem; text-align: center;'
      + 'font: 1rem/1.5 system-ui, sans-serif; color: var(--text, CanvasText); background: var(--surface, Canvas);'
      + 'border: 1px solid var(--line-strong, GrayText); border-radius: 14px; box-shadow: 0 8px 32px rgb(0 0 0 / .3)';
    box.style.colorScheme = html.dataset.theme || '';
    var line = document.createElement('p');
    line.style.cssText = 'margin: 0 0 1rem';
    line.textContent = isRussian ? 'Страница загрузилась не полностью. Проверьте сеть и загрузите её снова.'
      : 'The page did not load completely. Check the network and load it again.';
    var button = document.createElement('button');
    button.type = 'button';
    button.className = 'btn btn--primary';
    button.style.cssText = 'min-height: 44px; padding: 0 1rem; font: inherit; font-weight: 600';
    button.textContent = isRussian ? 'Загрузить снова' : 'Load again';
    button.addEventListener('click', reload);
    box.append(line, button);
    html.append(box);
    if (!document.activeElement || document.activeElement === document.body) button.focus();
  }

  addEventListener('error', function (e) {
    var it = e.target;
    // a preload that fails shows where the file is needed; what extensions put in is not of this page
    var url = it instanceof HTMLScriptElement ? it.src
      : it instanceof HTMLLinkElement && it.rel === 'stylesheet' ? it.href : '';
    if (url.indexOf(location.origin + '/') === 0) void failed();
  }, true);

  /** @type {any} */ (window).trestleLoad = {
    failed: failed,
    /** The page runs, with all of its files. */
    done: function () {
      if (isFailed) return;
      try { sessionStorage.removeItem(COUNT); } catch (e) { /* private mode */ }
    },
  };
})();
