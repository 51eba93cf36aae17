// Reads what the server (/config.js, global `config`) and the page's URL (#config.… and
// #userInfo.…, as in Jitsi's links) say about this meeting.

/**
 * @typedef {object} Config
 * @property {string} domain       XMPP domain
 * @property {string} muc          domain of the rooms
 * @property {string} focus        address of the conference request
 * @property {string} websocket    URL of the XMPP WebSocket, or empty
 * @property {string} bosh         URL of BOSH, or empty
 * @property {boolean} preferBosh
 * @property {boolean} prejoin     show the page before the meeting
 * @property {boolean} startAudioMuted
 * @property {boolean} startVideoMuted
 * @property {string} displayName  from the URL, or empty
 * @property {number} resolution   wanted height of the camera picture
 * @property {string} token        JWT of the URL, or empty
 */

/**
 * A room as the path names it.
 * @typedef {object} RoomName
 * @property {string} title  what people read
 * @property {string} node   node of the room's JID
 */

/**
 * The room's JID node: NFKC, lower case, percent-encoded, then lower case again, as every client
 * and the server do it.
 * @param {string} name
 */
export function roomNode(name) {
  return encodeURIComponent(name.normalize('NFKC').toLowerCase()).toLowerCase();
}

/**
 * The room that a path names, or null for the front page.
 * @param {string} path
 * @returns {RoomName | null}
 */
export function roomOfPath(path) {
  const last = path.split('/').filter(Boolean).at(-1);
  if (!last) return null;
  let name = last;
  try { name = decodeURIComponent(last); } catch { /* a stray % is part of the name */ }
  name = name.trim().toWellFormed();
  if (!name) return null;
  return { title: name.replaceAll(/[-_]+/g, ' '), node: roomNode(name) };
}

/**
 * The `#key=value&…` part of a URL: values are JSON, or else plain text.
 * @param {string} hash
 * @returns {Map<string, unknown>}
 */
export function hashParameters(hash) {
  const out = new Map();
  for (const pair of hash.replace(/^#/, '').split('&')) {
    const at = pair.indexOf('=');
    if (at < 1) continue;
    let value = pair.slice(at + 1);
    try { value = decodeURIComponent(value); } catch { /* as it is */ }
    try { out.set(pair.slice(0, at), JSON.parse(value)); } catch { out.set(pair.slice(0, at), value); }
  }
  return out;
}

/** @param {unknown} v @param {boolean} fallback */
function bool(v, fallback) {
  if (v === undefined || v === null) return fallback;
  return v === true || v === 'true';
}

/** @param {...unknown} values @returns {string} the first that is a filled string */
function text(...values) {
  return String(values.find((v) => typeof v === 'string' && v !== '') ?? '');
}

/**
 * An address of a service, with `room` for the server's components, in the page's own scheme.
 * @param {string} url
 * @param {URL} page
 * @param {string} node
 * @param {string} token
 * @param {boolean} isSocket
 */
function serviceUrl(url, page, node, token, isSocket) {
  if (!url) return '';
  const out = new URL(url, page);
  if (isSocket) out.protocol = out.protocol.replace('http', 'ws');
  if (node) out.searchParams.set('room', decodeURIComponent(node));
  if (token) out.searchParams.set('token', token);
  return out.href;
}

/**
 * @param {any} server  the global `config` of /config.js
 * @param {URL} page    address of this page
 * @param {string} node of the room, for the services' `room=`
 * @returns {Config}
 */
export function parseConfig(server, page, node) {
  const hash = hashParameters(page.hash);
  /** @param {string} key value of the URL, else of the server @returns {unknown} */
  const get = (key) => hash.get(`config.${key}`)
    ?? key.split('.').reduce((o, k) => o?.[k], server ?? {});
  const domain = text(server?.hosts?.domain) || 'meet.jitsi';
  const token = page.searchParams.get('jwt') ?? '';
  const resolution = Number(get('resolution'));
  const startAudioMuted = get('startWithAudioMuted');
  return {
    domain,
    muc: (text(server?.hosts?.muc) || `muc.${domain}`).toLowerCase(),
    focus: text(server?.hosts?.focus) || `focus.${domain}`,
    websocket: serviceUrl(text(server?.websocket), page, node, token, true),
    bosh: serviceUrl(text(server?.bosh) || '/http-bind', page, node, token, false),
    preferBosh: bool(get('preferBosh'), false),
    prejoin: bool(get('prejoinConfig.enabled'), bool(get('prejoinPageEnabled'), true)),
    startAudioMuted: bool(startAudioMuted, false),
    startVideoMuted: bool(get('startWithVideoMuted'), false),
    displayName: text(hash.get('userInfo.displayName')).slice(0, 60),
    resolution: resolution >= 90 && resolution <= 2160 ? Math.round(resolution) : 720,
    token,
  };
}
