// Builds and reads stanzas: a writer that escapes, and a few readers over a parsed element.
// Every extension element carries its own literal xmlns (contract 0), so nothing is inherited.

export const NS = {
  client: 'jabber:client',
  framing: 'urn:ietf:params:xml:ns:xmpp-framing',
  streams: 'http://etherx.jabber.org/streams',
  sasl: 'urn:ietf:params:xml:ns:xmpp-sasl',
  bind: 'urn:ietf:params:xml:ns:xmpp-bind',
  session: 'urn:ietf:params:xml:ns:xmpp-session',
  stanzas: 'urn:ietf:params:xml:ns:xmpp-stanzas',
  ping: 'urn:xmpp:ping',
  disco: 'http://jabber.org/protocol/disco#info',
  caps: 'http://jabber.org/protocol/caps',
  muc: 'http://jabber.org/protocol/muc',
  mucUser: 'http://jabber.org/protocol/muc#user',
  mucAdmin: 'http://jabber.org/protocol/muc#admin',
  mucOwner: 'http://jabber.org/protocol/muc#owner',
  nick: 'http://jabber.org/protocol/nick',
  data: 'jabber:x:data',
  delay: 'urn:xmpp:delay',
  focus: 'http://jitsi.org/protocol/focus',
  jitmeet: 'http://jitsi.org/jitmeet',
  colibri: 'http://jitsi.org/protocol/colibri',
  jingle: 'urn:xmpp:jingle:1',
  rtp: 'urn:xmpp:jingle:apps:rtp:1',
  feedback: 'urn:xmpp:jingle:apps:rtp:rtcp-fb:0',
  hdrext: 'urn:xmpp:jingle:apps:rtp:rtp-hdrext:0',
  source: 'urn:xmpp:jingle:apps:rtp:ssma:0',
  ice: 'urn:xmpp:jingle:transports:ice-udp:1',
  dtls: 'urn:xmpp:jingle:apps:dtls:0',
  grouping: 'urn:xmpp:jingle:apps:grouping:0',
};

/** @type {Record<string, string>} */
const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };
// Characters that XML 1.0 forbids even when escaped; a name or message may hold them.
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** @param {unknown} value */
export function escape(value) {
  return String(value).toWellFormed().replace(FORBIDDEN, '')
    .replace(/[&<>"']/g, (c) => ESCAPES[c] ?? c);
}

/** A piece of XML that is already escaped. */
export class Xml {
  /** @param {string} text */
  constructor(text) { this.text = text; }
  toString() { return this.text; }
}

/**
 * @typedef {Xml | string | number | false | null | undefined} Kid
 * Writes an element; attributes that are null or undefined are left out, text is escaped.
 * @param {string} name
 * @param {Record<string, string | number | null | undefined> | null} [attrs]
 * @param {...(Kid | Kid[])} kids
 */
export function xml(name, attrs, ...kids) {
  let out = `<${name}`;
  for (const [k, v] of Object.entries(attrs ?? {})) {
    if (v !== null && v !== undefined) out += ` ${k}="${escape(v)}"`;
  }
  const body = kids.flat()
    .filter((k) => k !== null && k !== undefined && k !== false)
    .map((k) => (k instanceof Xml ? k.text : escape(k)))
    .join('');
  return new Xml(body ? `${out}>${body}</${name}>` : `${out}/>`);
}

/**
 * Parses one whole element; throws when the text is not well-formed.
 * @param {string} text
 * @returns {Element}
 */
export function parse(text) {
  const root = new DOMParser().parseFromString(text, 'text/xml').documentElement;
  if (!root || root.getElementsByTagName('parsererror').length > 0
    || root.localName === 'parsererror') throw new Error('malformed XML');
  return root;
}

/**
 * Child elements by name and, when given, namespace.
 * @param {Element | null | undefined} el
 * @param {string} [name]
 * @param {string} [ns]
 * @returns {Element[]}
 */
export function children(el, name, ns) {
  const out = [];
  for (let n = el?.firstChild ?? null; n; n = n.nextSibling) {
    if (n.nodeType !== 1) continue;
    const e = /** @type {Element} */ (n);
    if ((!name || e.localName === name) && (!ns || e.namespaceURI === ns)) out.push(e);
  }
  return out;
}

/**
 * The first such child element.
 * @param {Element | null | undefined} el
 * @param {string} [name]
 * @param {string} [ns]
 * @returns {Element | null}
 */
export const child = (el, name, ns) => children(el, name, ns)[0] ?? null;

/**
 * An attribute, or the empty string.
 * @param {Element | null | undefined} el
 * @param {string} name
 */
export const attr = (el, name) => el?.getAttribute(name) ?? '';

/**
 * Text of the first such child, or null when there is no such child.
 * @param {Element | null | undefined} el
 * @param {string} name
 * @param {string} [ns]
 */
export const childText = (el, name, ns) => child(el, name, ns)?.textContent ?? null;
