// Pages with one message. The mark is the bridge in the state that fits: whole, open, broken.
import { rejoin, tryNow } from '../app.js';
import { h, icon } from '../dom.js';
import { t } from '../i18n.js';
import { store } from '../store.js';
import { attemptText } from './banner.js';

const SVG = 'http://www.w3.org/2000/svg';
const ENDS = 'M16 24 32 66 48 24 58 50M144 24 128 66 112 24 102 50M32 66h26M128 66h-26';
/** @type {Record<string, [string, string][]>} */
const MARKS = {
  whole: [['soft', 'M16 24 32 66 48 24 64 66M96 66l16-42 16 42 16-42M32 66h96'],
    ['fill', 'M64 66 80 24 96 66z'], ['', 'M4 24h152M64 66l16-42 16 42']],
  open: [['soft', ENDS], ['', 'M4 24h52M156 24h-52'], ['soft', 'M56 24 72 4M104 24 88 4']],
  broken: [['soft', ENDS], ['', 'M4 24h54M156 24h-54'], ['red', 'M73 17l14 14M87 17 73 31']],
};

/** @param {string} kind */
function mark(kind) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 160 84');
  svg.setAttribute('class', 'after__mark');
  svg.setAttribute('aria-hidden', 'true');
  for (const [cls, d] of MARKS[kind] ?? []) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    if (cls) path.setAttribute('class', cls);
    svg.append(path);
  }
  return svg;
}

const home = () => h('a', { class: 'btn', href: '/' }, t('e.home'));
/** @param {string} label @param {string} ic @param {() => void} run */
const primary = (label, ic, run) => h('button',
  { class: 'btn btn--primary', type: 'button', onclick: run }, ic && icon(ic), t(label));

/**
 * The picture, the line below the heading and the buttons of each kind.
 * @param {import('../store.js').After} after
 * @returns {[string, string, HTMLElement[]]}
 */
function content({ kind, by, reason, minutes }) {
  const { title } = store.state.room;
  switch (kind) {
    case 'left': return ['whole', t('e.leftD', { room: title, min: t('f.min', { n: minutes }) }),
      [primary('e.rejoin', '', () => { void rejoin(); }), home()]];
    case 'kicked': return ['open', by ? t('e.kickedD', { name: by }) : reason, [home()]];
    case 'destroyed': return ['whole', reason, [home()]];
    case 'insecure': return ['open', t('e.insecureD'), [h('a', {
      class: 'btn btn--primary', href: location.href.replace(/^http:/, 'https:'),
    }, icon('lock'), t('e.toHttps'))]];
    case 'old': return ['open', t('e.oldD'), [home()]];
    default: return ['broken', t('e.crashD'), [primary('e.reload', 'refresh', () => location.reload())]];
  }
}

/** @param {string} picture @param {HTMLElement} heading @param {...any} rest */
function pageOf(picture, heading, ...rest) {
  document.title = `${heading.textContent} · Trestle`;
  queueMicrotask(() => heading.focus());
  return h('main', { class: 'after', id: 'main' }, mark(picture), heading, rest);
}

/** The page; focus goes to its heading. @param {import('../store.js').After} after */
export function afterPage(after) {
  const [picture, line, buttons] = content(after);
  const heading = h('h1', { tabindex: '-1' }, t(`e.${after.kind}`));
  return pageOf(picture, heading, line && h('p', null, line), h('div', { class: 'after__acts' }, buttons));
}

/** In the place of a meeting whose server has long been silent; it goes on by itself. */
export function silentPage() {
  const heading = h('h1', { tabindex: '-1' });
  const line = h('p');
  const attempt = h('p', { class: 'sm num', role: 'status' });
  const draw = () => {
    const isOnline = navigator.onLine;
    heading.textContent = t(isOnline ? 'e.gone' : 'e.net');
    line.textContent = isOnline ? t('e.goneD', { host: location.host }) : t('e.netD');
    attempt.textContent = attemptText();
  };
  draw();
  const timer = setInterval(draw, 1000);
  const el = pageOf('broken', heading, line, attempt,
    h('div', { class: 'after__acts' }, primary('z.now', 'reconnect', tryNow), home()));
  return { el, close: () => clearInterval(timer) };
}
