// XMPP over WebSocket (RFC 7395): one frame is one whole element.
import { NS, children, parse, xml } from './xml.js';

/**
 * What carries stanzas: a WebSocket or BOSH. `open` and `restart` begin a stream and give its
 * features.
 * @typedef {object} Transport
 * @property {(() => Promise<Element>)} open
 * @property {(() => Promise<Element>)} restart
 * @property {((stanza: import('./xml.js').Xml) => void)} send
 * @property {(() => void)} close   ends the stream; `onclose` is not called
 * @property {((stanza: Element) => void)} onstanza
 * @property {((why: string) => void)} onclose  once, when the other side or the network ends it
 */

const OPEN_TIMEOUT = 10_000;

/** @implements {Transport} */
export class WebSocketTransport {
  /** @param {string} url @param {string} domain */
  constructor(url, domain) {
    this.url = url;
    this.domain = domain;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {{ resolve: (features: Element) => void, reject: (e: Error) => void } | null} */
    this.waiting = null;
    /** @type {(stanza: Element) => void} */
    this.onstanza = () => {};
    /** @type {(why: string) => void} */
    this.onclose = () => {};
  }

  /** @returns {Promise<Element>} */
  open() {
    const socket = new WebSocket(this.url, 'xmpp');
    this.socket = socket;
    const features = this.nextFeatures();
    socket.onopen = () => this.sendOpen();
    socket.onmessage = (e) => this.receive(e.data);
    socket.onclose = (e) => this.end(`socket closed (${e.code})`);
    return features;
  }

  restart() {
    const features = this.nextFeatures();
    this.sendOpen();
    return features;
  }

  /** @param {import('./xml.js').Xml} stanza */
  send(stanza) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(stanza.text);
  }

  close() {
    const socket = this.detach();
    this.refuse('closed');
    if (!socket) return;
    if (socket.readyState === WebSocket.OPEN) socket.send(xml('close', { xmlns: NS.framing }).text);
    socket.close();
  }

  sendOpen() {
    this.send(xml('open', { xmlns: NS.framing, to: this.domain, version: '1.0' }));
  }

  /** @returns {Promise<Element>} */
  nextFeatures() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.end('no answer'), OPEN_TIMEOUT);
      this.waiting = {
        resolve: (features) => { clearTimeout(timer); resolve(features); },
        reject: (e) => { clearTimeout(timer); reject(e); },
      };
    });
  }

  /** @param {unknown} data */
  receive(data) {
    if (typeof data !== 'string') return;
    /** @type {Element} */
    let el;
    try { el = parse(data); } catch { this.end('malformed XML'); return; }
    if (el.namespaceURI === NS.framing) {
      if (el.localName === 'close') this.end('closed by the server');
    } else if (el.namespaceURI === NS.streams) {
      if (el.localName === 'features') {
        this.waiting?.resolve(el);
        this.waiting = null;
      } else if (el.localName === 'error') this.end(children(el)[0]?.localName ?? 'stream error');
    } else this.onstanza(el);
  }

  /** @param {string} why */
  end(why) {
    const socket = this.detach();
    if (!socket) return;
    socket.close();
    this.refuse(why);
    this.onclose(why);
  }

  /** @param {string} why */
  refuse(why) {
    this.waiting?.reject(new Error(why));
    this.waiting = null;
  }

  detach() {
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    return socket;
  }
}
