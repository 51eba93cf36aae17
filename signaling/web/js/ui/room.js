// The page of a room: before, in and after the meeting are states of it, so nothing reloads.
import * as app from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { afterPage, silentPage } from './after.js';
import { startAudio } from './audio.js';
import { lossOf } from './loss.js';
import { tooltips } from './popover.js';
import { Prejoin } from './prejoin.js';

/** @type {{ close: () => void, redraw?: () => void } | null} */
let page = null;
/** What draws the meeting; the page before it is there first. @type {typeof import('./meeting-page.js').MeetingPage | null} */
let MeetingPage = null;
/** What is in the document. @type {'' | 'before' | 'meeting' | 'silent' | 'after'} */
let shown = '';

function wanted() {
  const { page: now, ask, connection } = store.state;
  if (now === 'idle') return shown;
  if (now === 'after') return 'after';
  // who is not asked anything before sees the meeting at once, empty until it is entered
  const isAtOnce = now === 'joining' && !ask && !connection.retryAt && shown !== 'before';
  if (now !== 'meeting' && !isAtOnce) return 'before';
  if (!MeetingPage) return shown;
  return lossOf(connection, Date.now(), navigator.onLine) === 'silent' ? 'silent' : 'meeting';
}

/** @param {boolean} hasSettings */
const top = (hasSettings) => h('header', { class: 'top' },
  h('a', { class: 'brand', href: '/' }, icon('logo'), 'Trestle'),
  hasSettings && h('button', {
    class: 'ibtn', type: 'button', 'aria-label': t('c.settings'), 'aria-haspopup': 'dialog',
    onclick: async () => (await import('./settings.js')).openSettings(),
  }, icon('gear')));

/** @param {HTMLElement} main @param {boolean} hasSettings */
function put(main, hasSettings) {
  document.body.className = 'page';
  document.body.replaceChildren(top(hasSettings), main);
}

function draw() {
  page?.close();
  page = null;
  delete document.documentElement.dataset.start;
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  const { after } = store.state;
  if (shown === 'meeting' && MeetingPage) page = new MeetingPage();
  else if (shown === 'silent') {
    const silent = silentPage();
    page = silent;
    put(silent.el, false);
  } else if (shown === 'after' && after) put(afterPage(after), false);
  else {
    const before = new Prejoin();
    page = before;
    put(before.el, true);
    before.focus();
  }
}

function show() {
  const next = wanted();
  if (next === shown && next !== 'after') return;
  shown = next;
  try { draw(); } catch (e) { crash(e); }
}

/** @param {unknown} e */
function crash(e) {
  console.error(e);
  app.leave();
  put(afterPage({ kind: 'crash', by: '', reason: '', minutes: 0 }), false);
}

/** Asks for the code of the meeting, all at once. */
async function loadMeeting() {
  const held = /** @type {HTMLTemplateElement | null} */ (document.getElementById('meeting'));
  if (held) document.head.append(held.content);
  ({ MeetingPage } = await import('./meeting-page.js'));
  show();
}

/** What one may do here, for style sheets and tests; only while one is in the room. */
function role() {
  const { dataset } = document.documentElement;
  if (store.state.page !== 'meeting') delete dataset.role;
  else dataset.role = store.state.self.isModerator ? 'moderator' : 'participant';
}

for (const topic of ['page', 'connection']) store.on(topic, show);
for (const topic of ['page', 'self']) store.on(topic, role);
setInterval(show, 1000);
document.addEventListener('langchange', () => { if (page?.redraw) page.redraw(); else draw(); });
// the name as it is in the field
document.addEventListener('reload', () => page?.close());
startAudio(() => store.notify({ kind: 'sound-blocked' }));
app.start(loadMeeting());
tooltips();
