// Blocking on purpose (1 short file in <head>): sets the theme before first paint, so nothing flashes. CSP-safe: not inline.
(function () {
  var p = new URLSearchParams(location.search).get('theme'), s = null;
  try { s = localStorage.getItem('trestle.theme'); } catch (e) { /* private mode */ }
  var want = p || s || 'auto';
  var mq = matchMedia('(prefers-color-scheme: dark)');
  function put() { document.documentElement.dataset.theme = want === 'auto' ? (mq.matches ? 'dark' : 'light') : want; }
  put();
  mq.addEventListener('change', put);
  /** @type {any} */ (window).trestleTheme = { get: function () { return want; }, set: function (/** @type {string} */ v) { want = v; try { localStorage.setItem('trestle.theme', v); } catch (e) { /* private mode */ } put(); } };
})();
