// XMPP over BOSH (XEP-0124, XEP-0206): at most two requests at a time, one of them held open.
import { NS, Xml, attr, children, parse, xml } from './xml.js';

const HTTP_BIND = 'http://jabber.org/protocol/httpbind';
const XBOSH = 'urn:xmpp:xbosh';
const WAIT = 60;
const RETRIES = 3;

/**
 * @typedef {import('./ws.js').Transport} Transport
 * @implements {Transport}
 */
export class BoshTransport {
  /** @param {string} url @param {string} domain */
  constructor(url, domain) {
    this.url = url;
    this.domain = domain;
    this.rid = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1;
    this.sid = '';
    this.wait = WAIT;
    this.open_ = false;
    this.running = 0;
    /** @type {Xml[]} */
    this.queue = [];
    this.flushing = false;
    /** @type {Map<number, string | null>} bodies that came before the ones that precede them */
    this.answers = new Map();
    this.nextAnswer = 0;
    /** @type {{ resolve: (features: Element) => void, reject: (e: Error) => void } | null} */
    this.waiting = null;
    this.abort = new AbortController();
    /** @type {(stanza: Element) => void} */
    this.onstanza = () => {};
    /** @type {(why: string) => void} */
    this.onclose = () => {};
    this.unload = () => this.leavePage();
  }

  open() {
    this.open_ = true;
    this.nextAnswer = this.rid;
    globalThis.addEventListener?.('pagehide', this.unload);
    const features = this.nextFeatures();
    this.post(this.body({
      content: 'text/xml; charset=utf-8', hold: 1, wait: WAIT, ver: '1.6', to: this.domain,
      'xml:lang': 'en', 'xmpp:version': '1.0', 'xmlns:xmpp': XBOSH,
    }));
    return features;
  }

  restart() {
    const features = this.nextFeatures();
    this.post(this.body({
      to: this.domain, 'xml:lang': 'en', 'xmpp:restart': 'true', 'xmlns:xmpp': XBOSH,
    }));
    return features;
  }

  /** @returns {Promise<Element>} */
  nextFeatures() {
    return new Promise((resolve, reject) => { this.waiting = { resolve, reject }; });
  }

  /** @param {Xml} stanza */
  send(stanza) {
    if (!this.open_) return;
    this.queue.push(stanza);
    if (this.flushing) return;
    this.flushing = true;
    // what is sent in one turn goes in one request
    queueMicrotask(() => { this.flushing = false; this.pump(); });
  }

  close() {
    if (!this.open_) return;
    const kids = this.queue.splice(0);
    const last = this.body({ type: 'terminate' }, ...kids);
    this.stop();
    this.refuse('closed');
    void fetch(this.url, this.request(last, null)).catch(() => {});
  }

  leavePage() {
    if (!this.open_ || !this.sid) return;
    const gone = xml('presence', { xmlns: NS.client, type: 'unavailable' });
    navigator.sendBeacon(this.url, this.body({ type: 'terminate' }, gone).text);
    this.stop();
  }

  /** @param {Record<string, string | number>} attrs @param {...Xml} kids */
  body(attrs, ...kids) {
    return xml('body', { xmlns: HTTP_BIND, rid: this.rid++, sid: this.sid || null, ...attrs }, kids);
  }

  pump() {
    if (!this.open_ || !this.sid) return;
    if (this.queue.length > 0 && this.running < 2) this.post(this.body({}, ...this.queue.splice(0)));
    else if (this.running === 0) this.post(this.body({}));
  }

  /** @param {Xml} body @param {AbortSignal | null} signal @returns {RequestInit} */
  request(body, signal) {
    return {
      method: 'POST',
      headers: { 'Content-Type': 'text/xml; charset=utf-8' },
      body: body.text,
      signal,
      keepalive: signal === null,
    };
  }

  /** @param {Xml} body */
  async post(body) {
    const rid = this.rid - 1;
    this.running += 1;
    let answer = null;
    for (let i = 0; i <= RETRIES && this.open_ && answer === null; i++) {
      answer = await this.attempt(body);
    }
    this.running -= 1;
    if (!this.open_) return;
    if (answer === null) { this.end('giving up'); return; }
    this.answers.set(rid, answer);
    this.deliver();
    this.pump();
  }

  /** @param {Xml} body @returns {Promise<string | null>} */
  async attempt(body) {
    const timeout = AbortSignal.timeout(Math.floor(1100 * this.wait));
    const signal = AbortSignal.any([this.abort.signal, timeout]);
    try {
      const response = await fetch(this.url, this.request(body, signal));
      if (response.ok) return await response.text();
    } catch { /* tried again */ }
    await new Promise((done) => { setTimeout(done, 500); });
    return null;
  }

  /** Hands on the answers in the order of their requests. */
  deliver() {
    for (;;) {
      const text = this.answers.get(this.nextAnswer);
      if (text === undefined || text === null) return;
      this.answers.delete(this.nextAnswer++);
      this.read(text);
    }
  }

  /** @param {string} text */
  read(text) {
    /** @type {Element} */
    let body;
    try { body = parse(text); } catch { this.end('malformed XML'); return; }
    this.sid ||= attr(body, 'sid');
    this.wait = Number(attr(body, 'wait')) || this.wait;
    for (const el of children(body)) {
      if (el.namespaceURI === NS.streams && el.localName === 'features') {
        this.waiting?.resolve(el);
        this.waiting = null;
      } else this.onstanza(el);
    }
    if (attr(body, 'type') === 'terminate') this.end(attr(body, 'condition') || 'terminated');
  }

  /** @param {string} why */
  end(why) {
    if (!this.open_) return;
    this.stop();
    this.refuse(why);
    this.onclose(why);
  }

  /** @param {string} why */
  refuse(why) {
    this.waiting?.reject(new Error(why));
    this.waiting = null;
  }

  stop() {
    this.open_ = false;
    this.abort.abort();
    globalThis.removeEventListener?.('pagehide', this.unload);
  }
}
