// Front page. Room name, suggestions, recent rooms, the two walkers on the bridge.
import { roomNode } from '../config.js';
import { $, h, icon, setIcon } from '../dom.js';
import { getLang, setLang, t } from '../i18n.js';
import { load, save } from '../saved.js';
import { choices, menu } from './menus.js';
import { openPop, tooltips } from './popover.js';
import { nameStrength, randomName } from './random-name.js';

const LANGUAGES = { en: 'English', ru: 'Русский' };
/** @type {HTMLInputElement} */
const input = $('#room');
const hint = $('#roomhint');
const names = [randomName(), randomName(), randomName()];

/** The three kinds of hint under the name, and the neutral one. */
const HINTS = [['bad', 'warning', 'f.bad'], ['warn', 'info', 'f.weak'], ['good', 'check', 'f.strong']];

function check() {
  const name = input.value;
  const strength = name ? nameStrength(name) : -1;
  const [kind = '', ic = 'info', key = 'f.hint'] = HINTS[strength] ?? [];
  hint.className = kind ? `hint hint--${kind}` : 'hint';
  hint.replaceChildren(icon(ic), h('span', null, t(key)));
  input.setAttribute('aria-invalid', String(strength === 0));
  // the walkers meet in the middle of the deck as the name becomes good
  const near = strength <= 0 ? 0 : Math.min(1, [...name].length / 14);
  /** @type {[string, number][]} */
  const places = [['.walker--a', 470 + 310 * near], ['.walker--b', 1130 - 310 * near]];
  for (const [walker, x] of places) $(walker).style.transform = `translateX(${Math.round(x)}px)`;
}

/** @param {string} name */
function use(name) {
  input.value = name;
  check();
  input.focus();
}

function again() {
  for (let i = 0; i < names.length; i++) names[i] = randomName();
  drawSuggestions();
  $('#suggest .ibtn').focus();
}

function drawSuggestions() {
  $('#suggest').replaceChildren(
    h('span', { class: 'vh' }, t('f.suggest')),
    ...names.map((name) => h('button', {
      type: 'button', class: 'pill', 'aria-label': t('f.use', { name }), onclick: () => use(name),
    }, name)),
    h('button', { type: 'button', class: 'ibtn', 'aria-label': t('f.again'), onclick: again },
      icon('refresh')));
}

/** When a room was visited, as people say it. @param {number} at */
function when(at) {
  const then = new Date(at);
  const time = then.toLocaleTimeString(getLang(), { hour: 'numeric', minute: '2-digit' });
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return t('f.today', { t: time });
  if (days === 1) return t('f.yesterday', { t: time });
  return then.toLocaleDateString(getLang(), { day: 'numeric', month: 'long' });
}

/** @param {ReturnType<typeof load>['recent']} recent */
function keep(recent) {
  save({ recent });
  drawRecent();
}

/** @param {ReturnType<typeof load>['recent'][number]} room */
function recentRoom(room) {
  const others = () => load().recent.filter((r) => r.path !== room.path);
  return h('li', null,
    h('a', { href: room.path },
      h('b', null, room.title),
      h('small', null, `${when(room.at)} · ${t('f.min', { n: room.minutes })}`)),
    h('button', {
      class: 'ibtn', type: 'button', 'aria-label': t('f.remove', { name: room.title }),
      onclick: () => keep(others()),
    }, icon('close')));
}

function drawRecent() {
  const { recent } = load();
  const section = $('#recent');
  section.setAttribute('aria-labelledby', 'recenth');
  section.replaceChildren(
    h('div', { class: 'recent__head' },
      h('h2', { id: 'recenth' }, t('f.recent')),
      recent.length > 0 && h('button',
        { class: 'btn btn--sm btn--quiet', type: 'button', onclick: () => keep([]) }, t('f.clear'))),
    recent.length === 0 ? h('p', { class: 'recent__none' }, t('f.noRecent'))
      : h('ul', { role: 'list' }, recent.map(recentRoom)));
}

function draw() {
  document.title = t('f.title');
  drawSuggestions();
  drawRecent();
  check();
  input.placeholder = t('f.example');
}

/** @param {SubmitEvent} e */
function go(e) {
  e.preventDefault();
  if (!input.value.trim()) use(names[0] ?? '');
  if (nameStrength(input.value) === 0) { input.focus(); return; }
  const name = input.value.trim();
  // the address keeps the letters as they were typed; the node of the room is made from them
  if (roomNode(name)) location.assign(`/${encodeURIComponent(name)}`);
}

/** @param {MouseEvent} e */
function languageMenu(e) {
  const options = Object.entries(LANGUAGES).map(([id, label]) => ({ id, label }));
  openPop(menu(t('c.language'), choices(options, getLang(), setLang)),
    /** @type {HTMLElement} */ (e.currentTarget), { side: 'bottom', align: 'end', once: true });
}

/** @returns {{ get: () => string, set: (name: string) => void }} as boot.js has it */
const theme = () => /** @type {any} */ (window).trestleTheme;

function drawTheme() {
  setIcon($('#theme'), { light: 'sun', dark: 'moon' }[theme().get()] ?? 'contrast');
}

/** @param {MouseEvent} e */
function themeMenu(e) {
  const options = ['auto', 'light', 'dark'].map((id) => ({ id, label: t(`theme.${id}`) }));
  const choose = (/** @type {string} */ id) => { theme().set(id); drawTheme(); };
  openPop(menu(t('theme.label'), choices(options, theme().get(), choose)),
    /** @type {HTMLElement} */ (e.currentTarget), { side: 'bottom', align: 'end', once: true });
}

$('#form').addEventListener('submit', go);
input.addEventListener('input', check);
$('#lang').addEventListener('click', languageMenu);
$('#theme').addEventListener('click', themeMenu);
document.addEventListener('langchange', draw);
draw();
drawTheme();
tooltips();
if (matchMedia('(pointer: fine)').matches) input.focus();
/** @type {any} */ (window).trestleLoad.done();
