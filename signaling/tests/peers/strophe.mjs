// Two Strophe clients, one over WebSocket and one over BOSH, join a room, see each other and chat.
//
//   node strophe.mjs WEBSOCKET-URL BOSH-URL DOMAIN
import { createRequire } from 'node:module';

const { Strophe, $iq, $msg, $pres } = createRequire(import.meta.url)('strophe.js');
const [websocket, bosh, domain] = process.argv.slice(2);
const room = `strophe@muc.${domain}`;

/** What a browser has and Node has not: enough of it for Strophe's BOSH. */
globalThis.XMLHttpRequest = class {
  readyState = 0;
  status = 0;
  responseText = '';
  #abort = new AbortController();

  open(method, url) {
    this.request = { method, url, headers: {} };
  }

  setRequestHeader(name, value) {
    this.request.headers[name] = value;
  }

  overrideMimeType() {}

  getAllResponseHeaders() {
    return '';
  }

  abort() {
    this.#abort.abort();
  }

  get responseXML() {
    return Strophe.xmlHtmlNode(this.responseText);
  }

  async send(body) {
    const { url, ...rest } = this.request;
    try {
      const answer = await fetch(url, { ...rest, body, signal: this.#abort.signal });
      this.responseText = await answer.text();
      this.status = answer.status;
    } catch {
      this.status = 0;
    }
    this.readyState = 4;
    this.onreadystatechange?.();
  }
};

class Client {
  #waiting = [];
  #stanzas = [];

  constructor(url) {
    this.connection = new Strophe.Connection(url);
  }

  connect() {
    return new Promise((resolve, reject) => {
      this.connection.connect(domain, null, (status, reason) => {
        if (status === Strophe.Status.CONNECTED) {
          this.nick = Strophe.getNodeFromJid(this.connection.jid).slice(0, 8);
          this.connection.addHandler((stanza) => this.#take(stanza));
          resolve();
        } else if ([Strophe.Status.CONNFAIL, Strophe.Status.AUTHFAIL].includes(status)) {
          reject(new Error(`status ${status}: ${reason}`));
        }
      });
    });
  }

  #take(stanza) {
    this.#stanzas.push(stanza);
    this.#waiting = this.#waiting.filter((look) => !look());
    return true;
  }

  /** The first stanza that fits; what was before it is dropped. */
  find(fits) {
    return new Promise((resolve) => {
      const look = () => {
        const index = this.#stanzas.findIndex(fits);
        if (index < 0) return false;
        resolve(this.#stanzas.splice(0, index + 1).pop());
        return true;
      };
      if (!look()) this.#waiting.push(look);
    });
  }

  ask(iq) {
    return new Promise((resolve, reject) => this.connection.sendIQ(iq, resolve, reject, 5000));
  }

  async join() {
    const presence = $pres({ to: `${room}/${this.nick}` });
    this.connection.send(presence.c('x', { xmlns: 'http://jabber.org/protocol/muc' }));
    const own = await this.presence(this.nick);
    const codes = Array.from(own.getElementsByTagName('status')).map((s) => s.getAttribute('code'));
    if (!codes.includes('110')) throw new Error(`own presence has ${codes}`);
  }

  presence(nick) {
    const from = `${room}/${nick}`;
    return this.find((s) => s.tagName === 'presence' && s.getAttribute('from') === from);
  }

  say(text) {
    this.connection.send($msg({ to: room, type: 'groupchat' }).c('body').t(text));
  }

  async hear(text) {
    await this.find((s) => s.getElementsByTagName('body')[0]?.textContent === text);
  }
}

async function meet() {
  const first = new Client(websocket);
  const second = new Client(bosh);
  await first.connect();
  await second.connect();
  await first.ask($iq({ to: domain, type: 'get' }).c('ping', { xmlns: 'urn:xmpp:ping' }));
  const xmlns = 'http://jitsi.org/protocol/focus';
  const conference = { xmlns, room, 'machine-uid': '0'.repeat(32) };
  const answer = await first.ask(
    $iq({ to: `focus.${domain}`, type: 'set' }).c('conference', conference),
  );
  const ready = answer.getElementsByTagName('conference')[0].getAttribute('ready');
  if (ready !== 'true') throw new Error(`the focus says ready=${ready}`);
  await first.join();
  await second.join();
  await first.presence(second.nick);
  first.say('from the WebSocket <&>');
  await second.hear('from the WebSocket <&>');
  second.say('from BOSH \u{1F600}');
  await first.hear('from BOSH \u{1F600}');
  second.connection.disconnect();
  const left = await first.presence(second.nick);
  if (left.getAttribute('type') !== 'unavailable') throw new Error('the second did not leave');
  first.connection.disconnect();
}

const late = setTimeout(() => {
  console.error('strophe: no end in 20 s');
  process.exit(1);
}, 20_000);
await meet();
clearTimeout(late);
console.log('strophe: two clients met over WebSocket and BOSH');
process.exit(0);
