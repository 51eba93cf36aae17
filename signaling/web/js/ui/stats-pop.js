// The connection of a person in a pop-over; it follows the statistics while it is open.
import { h, icon, setIcon } from '../dom.js';
import { getLang, t } from '../i18n.js';
import { cameraOf, isPaused, store } from '../store.js';
import { openPop } from './popover.js';
import { nameOf } from './tile.js';

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [280, 44];

/** @param {number} value @param {number} [digits] */
const number = (value, digits = 0) => new Intl.NumberFormat(getLang(),
  { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

/** @param {number} bits a second */
export const bitrate = (bits) => (bits >= 1e6 ? t('n.mbps', { n: number(bits / 1e6, 2) })
  : t('n.kbps', { n: number(bits / 1000) }));
/** @param {number} share 0 to 1 */
const percent = (share) => t('n.percent', { n: number(share * 100, 1) });
/** @param {number} ms */
const milliseconds = (ms) => t('n.ms', { n: number(ms) });

/** A line of the last minute. @param {number[]} values @param {SVGPathElement} area @param {SVGPathElement} line */
function drawSpark(values, area, line) {
  const max = Math.max(1, ...values);
  const points = values.map((v, i) => [WIDTH - (values.length - 1 - i) * WIDTH / 59, HEIGHT - 2 - v / max * (HEIGHT - 6)]);
  const d = points.map(([x = 0, y = 0], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
  line.setAttribute('d', d);
  area.setAttribute('d', points.length > 1 ? `${d}V${HEIGHT}H${points[0]?.[0]?.toFixed(1)}z` : '');
}

function spark() {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const [area, line] = [document.createElementNS(SVG, 'path'), document.createElementNS(SVG, 'path')];
  area.setAttribute('fill', 'currentColor');
  area.setAttribute('opacity', '.14');
  line.setAttribute('fill', 'none');
  line.setAttribute('stroke', 'currentColor');
  line.setAttribute('stroke-width', '2');
  line.setAttribute('vector-effect', 'non-scaling-stroke');
  svg.append(area, line);
  return { svg, draw: (/** @type {number[]} */ values) => drawSpark(values, area, line) };
}

/** @param {import('../media/stats.js').StreamStats | null | undefined} video */
const picture = (video) => video && video.height > 0
  && t('n.picture', { w: video.width, h: video.height, fps: video.fps, codec: video.codec });
/** @param {import('../media/stats.js').StreamStats | null | undefined} audio */
const sound = (audio) => audio && audio.codec && `${audio.codec}, ${bitrate(audio.bitrate)}`;

/**
 * What is known: label and value; what the browser does not tell is left out.
 * @param {string} id of the person
 * @returns {[string, string | false | null | undefined | 0][]}
 */
function rows(id) {
  const { stats, self } = store.state;
  if (!stats) return [];
  if (id === self.id) {
    return [['n.down', bitrate(stats.down)], ['n.up', bitrate(stats.up)],
      ['n.loss', `${percent(stats.lossDown)} ↓   ${percent(stats.lossUp)} ↑`],
      ['n.rtt', milliseconds(stats.rtt)], ['n.video', picture(stats.sent.video)],
      ['n.audio', sound(stats.sent.audio)], ['n.est', stats.estimate && bitrate(stats.estimate)],
      ['n.via', stats.port && `${stats.protocol.toUpperCase()}, ${stats.port}`]];
  }
  const video = stats.received.get(`${id}-v0`);
  const audio = stats.received.get(`${id}-a0`);
  const streams = [video, audio].filter((s) => s !== undefined);
  return [['n.down', bitrate(streams.reduce((sum, s) => sum + s.bitrate, 0))],
    ['n.loss', streams.length > 0 && percent(Math.max(...streams.map((s) => s.loss)))],
    ['n.rtt', milliseconds(stats.rtt)],
    ['n.jitter', streams.length > 0 && milliseconds(Math.max(...streams.map((s) => s.jitter)))],
    ['n.video', picture(video)], ['n.audio', sound(audio)],
    ['n.est', stats.estimate && bitrate(stats.estimate)],
    ['n.via', stats.port && `${stats.protocol.toUpperCase()}, ${stats.port}`]];
}

/** @param {string} id @returns {number} 0 to 4 */
function barsOf(id) {
  const { self, stats, people } = store.state;
  if (id === self.id) return stats?.bars ?? 4;
  const person = people.get(id);
  return person?.interrupted ? 0 : person?.bars ?? 4;
}

/** Why a picture is as it is, as far as it is known. @param {string} id */
function why(id) {
  const { state } = store;
  const camera = cameraOf(state, id);
  if (camera && isPaused(state, camera)) return t('t.paused');
  const height = state.stats?.received.get(`${id}-v0`)?.height ?? 0;
  const asked = state.wanted.get(`${id}-v0`) ?? 0;
  if (!camera || camera.muted || height === 0 || asked === 0) return '';
  return height < asked && asked <= 720 ? t('n.whyLess', { h: height }) : t('n.whySize', { h: height });
}

/** @param {HTMLElement} anchor @param {string} id of the person */
export function openStats(anchor, id) {
  const { self, people } = store.state;
  const person = people.get(id) ?? self;
  const name = nameOf(person);
  const chart = spark();
  /** @type {number[]} of this person, since the pop-over was opened; one's own has a minute already */
  const history = [];
  const quality = h('div', { class: 'stats__q' }, icon('signal-4', 'icon--md'), h('span'));
  const list = h('dl');
  const reason = h('div', { class: 'stats__why' }, h('b', null, t('n.why')), h('span'));
  const copy = h('button', {
    class: 'btn btn--sm', type: 'button', onclick: () => {
      const text = [name, ...[...list.children].map((el) => el.textContent)].join('\n');
      void navigator.clipboard.writeText(text).catch(() => {});
    },
  }, icon('copy'), t('n.copy'));
  const pop = h('div', {
    class: 'pop pop--sheet stats', popover: 'auto', role: 'dialog', 'aria-label': t('n.title', { name }),
  }, h('h2', null, name), quality, chart.svg, list, reason, copy);
  const draw = () => {
    const bars = barsOf(id);
    setIcon(quality, `signal-${bars}`);
    quality.lastChild?.replaceWith(h('span', null, t(`t.q${bars}`)));
    list.replaceChildren(...rows(id).flatMap(([key, value]) => (
      value ? [h('dt', null, t(key)), h('dd', null, value)] : [])));
    const video = store.state.stats?.received.get(`${id}-v0`);
    if (id !== self.id) history.push(video?.bitrate ?? 0);
    chart.draw(id === self.id ? store.state.stats?.history ?? [] : history.slice(-60));
    const text = why(id);
    reason.hidden = !text;
    reason.lastChild?.replaceWith(h('span', null, text));
  };
  const end = store.on('stats', draw);
  pop.addEventListener('toggle', (e) => { if (/** @type {ToggleEvent} */ (e).newState === 'closed') end(); });
  draw();
  openPop(pop, anchor, { side: 'bottom', align: 'end', once: true });
}
