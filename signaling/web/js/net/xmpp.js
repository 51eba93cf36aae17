// One XMPP session: stream, authentication, resource, and the way of each stanza to its handler.
import { begin, isSuccess } from './sasl.js';
import { BoshTransport } from './bosh.js';
import { WebSocketTransport } from './ws.js';
import { NS, attr, child, childText, children, xml } from './xml.js';

/**
 * @typedef {import('./xml.js').Xml} Xml
 * @typedef {(payload: Element, iq: Element) => Xml | null | Promise<Xml | null>} IqHandler
 */

const IQ_TIMEOUT = 10_000;
const PING_EVERY = 10_000;
const PING_TIMEOUT = 5_000;

const IDENTITY = { category: 'client', type: 'web', name: 'Trestle' };
const CAPS_NODE = 'https://jitsi.org/jitsi-meet';

/** What this client can do; the focus decides by it how it speaks with us (contract 4.2). */
export const FEATURES = [
  'http://jabber.org/protocol/caps',
  'http://jabber.org/protocol/disco#info',
  'http://jitsi.org/json-encoded-sources',
  'http://jitsi.org/receive-multiple-video-streams',
  'http://jitsi.org/source-name',
  'http://jitsi.org/ssrc-rewriting-1',
  'http://jitsi.org/tcc',
  'urn:ietf:rfc:4588',
  'urn:xmpp:jingle:1',
  'urn:xmpp:jingle:apps:dtls:0',
  'urn:xmpp:jingle:apps:rtp:1',
  'urn:xmpp:jingle:apps:rtp:audio',
  'urn:xmpp:jingle:apps:rtp:video',
  'urn:xmpp:jingle:transports:ice-udp:1',
  'urn:xmpp:ping',
];

/** An `error` answer to an IQ, or none in time. */
export class StanzaError extends Error {
  /** @param {string} condition @param {Element | null} [element] the `error` element */
  constructor(condition, element = null) {
    super(element ? childText(element, 'text', NS.stanzas) || condition : condition);
    this.condition = condition;
    this.element = element;
  }

  /** @param {Element} stanza */
  static of(stanza) {
    const error = child(stanza, 'error');
    const known = children(error, undefined, NS.stanzas).find((e) => e.localName !== 'text');
    return new StanzaError(known?.localName ?? 'undefined-condition', error);
  }
}

/** The entity capabilities element (XEP-0115) that names `FEATURES`. */
export async function capabilities() {
  const { category, type, name } = IDENTITY;
  const text = `${category}/${type}//${name}<${[...FEATURES].sort().map((f) => `${f}<`).join('')}`;
  const hash = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text));
  const ver = btoa(String.fromCharCode(...new Uint8Array(hash)));
  return xml('c', { xmlns: NS.caps, hash: 'sha-1', node: CAPS_NODE, ver });
}

export class Xmpp {
  /** @param {import('../config.js').Config} config */
  constructor(config) {
    this.domain = config.domain;
    /** @type {import('./ws.js').Transport} */
    this.transport = config.websocket && !(config.preferBosh && config.bosh)
      ? new WebSocketTransport(config.websocket, config.domain)
      : new BoshTransport(config.bosh, config.domain);
    this.jid = '';
    /** @type {Map<string, { to: string, resolve: (e: Element) => void, reject: (e: Error) => void }>} */
    this.pending = new Map();
    /** @type {Map<string, IqHandler>} by `namespace name` of the payload */
    this.handlers = new Map();
    /** @type {{ resolve: (e: Element) => void, reject: (e: Error) => void } | null} takes the next
     * stanza, while signing in */
    this.next = null;
    this.lastHeard = 0;
    this.missedPings = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.pinger = undefined;
    this.closed = false;
    /** @type {(presence: Element) => void} */
    this.onpresence = () => {};
    /** @type {(message: Element) => void} */
    this.onmessage = () => {};
    /** Called once when the session is lost; not after `close`. @type {(why: string) => void} */
    this.onlost = () => {};
    this.handle(NS.disco, 'query', (query) => this.discoInfo(query));
    this.handle(NS.ping, 'ping', () => null);
  }

  /** Signs in and binds a resource; rejects when any of it fails. */
  async connect() {
    this.transport.onstanza = (stanza) => this.receive(stanza);
    this.transport.onclose = (why) => this.lose(why);
    const auth = begin(await this.transport.open());
    const answer = this.nextStanza();
    this.transport.send(auth);
    if (!isSuccess(await answer)) throw new Error('unexpected answer to auth');
    const features = await this.transport.restart();
    const bound = await this.request({ type: 'set' }, xml('bind', { xmlns: NS.bind }));
    this.jid = childText(child(bound, 'bind', NS.bind), 'jid', NS.bind)?.trim() ?? '';
    if (!this.jid) throw new Error('no resource was bound');
    const session = child(features, 'session', NS.session);
    if (session && !child(session, 'optional')) {
      await this.request({ type: 'set' }, xml('session', { xmlns: NS.session }));
    }
    this.lastHeard = Date.now();
    this.pinger = setInterval(() => this.watch(), PING_EVERY);
  }

  close() {
    this.closed = true;
    this.release('closed');
    this.transport.close();
  }

  /** @param {Xml} stanza */
  send(stanza) { this.transport.send(stanza); }

  /**
   * Sends an IQ and gives its result; rejects with a `StanzaError`.
   * @param {{ to?: string, type: 'get' | 'set' }} attrs
   * @param {Xml} payload
   * @param {number} [timeout]
   * @returns {Promise<Element>}
   */
  request(attrs, payload, timeout = IQ_TIMEOUT) {
    if (this.closed) return Promise.reject(new StanzaError('closed'));
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new StanzaError('remote-server-timeout'));
      }, timeout);
      this.pending.set(id, {
        to: attrs.to ?? '',
        resolve: (e) => { clearTimeout(timer); resolve(e); },
        reject: (e) => { clearTimeout(timer); reject(e); },
      });
      this.send(xml('iq', { xmlns: NS.client, id, ...attrs }, payload));
    });
  }

  /**
   * Answers IQs whose payload is `name` in `ns`: with what `handler` gives, or with the condition
   * of the `StanzaError` that it throws.
   * @param {string} ns @param {string} name @param {IqHandler} handler
   */
  handle(ns, name, handler) { this.handlers.set(`${ns} ${name}`, handler); }

  /** @returns {Promise<Element>} */
  nextStanza() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => { this.next = null; reject(new Error('no answer')); }, IQ_TIMEOUT);
      this.next = {
        resolve: (stanza) => { clearTimeout(timer); resolve(stanza); },
        reject: (e) => { clearTimeout(timer); reject(e); },
      };
    });
  }

  /** @param {Element} stanza */
  receive(stanza) {
    this.lastHeard = Date.now();
    this.missedPings = 0;
    if (this.next) {
      const next = this.next;
      this.next = null;
      next.resolve(stanza);
    } else if (stanza.localName === 'iq') this.receiveIq(stanza);
    else if (stanza.localName === 'presence') this.onpresence(stanza);
    else if (stanza.localName === 'message') this.onmessage(stanza);
  }

  /** @param {Element} iq */
  receiveIq(iq) {
    const type = attr(iq, 'type');
    if (type === 'get' || type === 'set') { void this.answer(iq); return; }
    const id = attr(iq, 'id');
    const pending = this.pending.get(id);
    const from = attr(iq, 'from');
    // no answer from somebody who was not asked; the server itself may leave `from` out
    if (!pending || (pending.to && from && from !== pending.to)) return;
    this.pending.delete(id);
    if (type === 'result') pending.resolve(iq);
    else pending.reject(StanzaError.of(iq));
  }

  /** @param {Element} iq */
  async answer(iq) {
    const payload = children(iq)[0];
    const handler = payload && this.handlers.get(`${payload.namespaceURI} ${payload.localName}`);
    const back = { xmlns: NS.client, id: attr(iq, 'id'), to: attr(iq, 'from') || null };
    try {
      if (!payload || !handler) throw new StanzaError('service-unavailable');
      this.send(xml('iq', { ...back, type: 'result' }, await handler(payload, iq)));
    } catch (e) {
      const condition = e instanceof StanzaError ? e.condition : 'internal-server-error';
      if (!(e instanceof StanzaError)) console.error(e);
      this.send(xml('iq', { ...back, type: 'error' },
        xml('error', { type: 'cancel' }, xml(condition, { xmlns: NS.stanzas }))));
    }
  }

  /** @param {Element} query */
  discoInfo(query) {
    return xml('query', { xmlns: NS.disco, node: query.getAttribute('node') },
      xml('identity', IDENTITY), FEATURES.map((f) => xml('feature', { var: f })));
  }

  /** A server that has been silent is asked; two silences in a row are a lost connection. */
  watch() {
    if (Date.now() - this.lastHeard < PING_EVERY - 500) return;
    this.request({ to: this.domain, type: 'get' }, xml('ping', { xmlns: NS.ping }), PING_TIMEOUT)
      .catch((e) => {
        if (e.condition !== 'remote-server-timeout' || ++this.missedPings < 2) return;
        this.transport.close();
        this.lose('no answer to pings');
      });
  }

  /** @param {string} why */
  lose(why) {
    if (this.closed) return;
    this.closed = true;
    this.release(why);
    this.onlost(why);
  }

  /** @param {string} why */
  release(why) {
    clearInterval(this.pinger);
    this.next?.reject(new StanzaError(why));
    this.next = null;
    for (const { reject } of this.pending.values()) reject(new StanzaError(why));
    this.pending.clear();
  }
}
