// The room (XEP-0045 as Jitsi uses it): who is in it, what they say, and the moderator's requests.
import { NS, Xml, attr, child, childText, children, xml } from './xml.js';
import { StanzaError } from './xmpp.js';

/**
 * What presence says about one source.
 * @typedef {{ muted: boolean, videoType: 'camera' | 'desktop' }} SourceInfo
 *
 * @typedef {object} Occupant
 * @property {string} id          nick, which is the endpoint id
 * @property {string} jid         real JID
 * @property {string} name        display name, may be empty
 * @property {boolean} isModerator
 * @property {number | null} hand milliseconds since 1970
 * @property {Map<string, SourceInfo>} sources by source name
 *
 * @typedef {object} ChatMessage
 * @property {string} id
 * @property {string} from        nick, or empty for the room itself
 * @property {string} text
 * @property {number} at          milliseconds since 1970
 *
 * @typedef {object} RoomEvents
 * @property {(who: Occupant) => void} occupant     came or changed; also oneself
 * @property {(id: string, kickedBy: string | null) => void} gone
 * @property {(how: { kind: 'kicked' | 'destroyed', by: string, reason: string }) => void} removed
 * @property {(message: ChatMessage) => void} message  the own ones come back too
 * @property {(id: string) => void} messageFailed
 * @property {() => void} configChanged
 * @property {(present: boolean) => void} bridge     whether the focus has a bridge
 * @property {() => void} focusGone
 *
 * What this client tells in its presence.
 * @typedef {object} OwnPresence
 * @property {string} name
 * @property {number | null} hand
 * @property {Record<string, { muted: boolean, videoType?: string }>} sources
 */

const JOIN_TIMEOUT = 15_000;
const FOCUS_NICK = 'focus';

/** @param {string} jid */
export const resourceOf = (jid) => jid.slice(jid.indexOf('/') + 1);
/** @param {string} jid */
export const bareOf = (jid) => (jid.includes('/') ? jid.slice(0, jid.indexOf('/')) : jid);

/**
 * Reads the JSON of `SourceInfo`, or the presence elements of older clients. A source that is not
 * named after its sender is left out, since nobody speaks for another.
 * @param {Element} presence
 * @param {string} id
 * @returns {Map<string, SourceInfo>}
 */
export function readSources(presence, id) {
  /** @type {Map<string, SourceInfo>} */
  const out = new Map();
  const text = childText(presence, 'SourceInfo');
  if (text === null) {
    const camera = childText(presence, 'videoType') === 'desktop' ? 'desktop' : 'camera';
    out.set(`${id}-a0`, { muted: childText(presence, 'audiomuted') === 'true', videoType: 'camera' });
    out.set(`${id}-v0`, { muted: childText(presence, 'videomuted') === 'true', videoType: camera });
    return out;
  }
  /** @type {unknown} */
  let info = null;
  try { info = JSON.parse(text); } catch { /* says nothing */ }
  for (const [name, value] of Object.entries(info && typeof info === 'object' ? info : {})) {
    if (!name.startsWith(`${id}-`) || !value || typeof value !== 'object') continue;
    out.set(name, {
      muted: value.muted === true,
      videoType: String(value.videoType).startsWith('desktop') ? 'desktop' : 'camera',
    });
  }
  return out;
}

export class Room {
  /**
   * @param {import('./xmpp.js').Xmpp} xmpp
   * @param {{ jid: string, nick: string, focusJid: string, caps: Xml }} where
   * @param {RoomEvents} events
   */
  constructor(xmpp, { jid, nick, focusJid, caps }, events) {
    this.xmpp = xmpp;
    this.jid = jid;
    this.nick = nick;
    this.focusJid = focusJid;
    this.caps = caps;
    this.events = events;
    this.joined = false;
    /** Whether the occupant `focus` is the focus that the server named. */
    this.hasFocus = false;
    /** @type {Set<string>} */
    this.present = new Set();
    /** @type {OwnPresence} */
    this.own = { name: '', hand: null, sources: {} };
    this.dirty = false;
    /** @type {{ resolve: () => void, reject: (e: Error) => void } | null} */
    this.joining = null;
  }

  get focus() { return `${this.jid}/${FOCUS_NICK}`; }

  /**
   * Enters; rejects with the `StanzaError` that the room answers.
   * @param {OwnPresence} own
   * @param {string} password or empty
   * @returns {Promise<void>}
   */
  join(own, password) {
    this.own = own;
    this.xmpp.onpresence = (p) => this.receivePresence(p);
    this.xmpp.onmessage = (m) => this.receiveMessage(m);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new StanzaError('remote-server-timeout')), JOIN_TIMEOUT);
      this.joining = {
        resolve: () => { clearTimeout(timer); resolve(); },
        reject: (e) => { clearTimeout(timer); reject(e); },
      };
      this.sendPresence(xml('x', { xmlns: NS.muc }, password && xml('password', null, password)));
    });
  }

  /** The connection is gone: who waits to be in is told. */
  abandon() {
    this.joining?.reject(new StanzaError('closed'));
    this.joining = null;
  }

  leave() {
    this.xmpp.send(xml('presence', {
      xmlns: NS.client, to: `${this.jid}/${this.nick}`, type: 'unavailable',
    }));
  }

  /**
   * Changes the own presence; several changes in one turn are one stanza.
   * @param {Partial<OwnPresence>} change
   */
  update(change) {
    Object.assign(this.own, change);
    if (this.dirty || !this.joined) return;
    this.dirty = true;
    queueMicrotask(() => { this.dirty = false; this.sendPresence(null); });
  }

  /** @param {Xml | null} join */
  sendPresence(join) {
    const { name, hand, sources } = this.own;
    this.xmpp.send(xml('presence', { xmlns: NS.client, to: `${this.jid}/${this.nick}` },
      join,
      this.caps,
      xml('SourceInfo', null, JSON.stringify(sources)),
      xml('jitsi_participant_codecList', null, 'vp8'),
      hand !== null && xml('jitsi_participant_raisedHand', null, hand),
      xml('nick', { xmlns: NS.nick }, name)));
  }

  /** @param {Element} p */
  receivePresence(p) {
    const from = attr(p, 'from');
    if (bareOf(from) !== this.jid) return;
    const id = resourceOf(from);
    const type = attr(p, 'type');
    const user = child(p, 'x', NS.mucUser);
    const codes = new Set(children(user, 'status').map((s) => attr(s, 'code')));
    const isSelf = codes.has('110') || id === this.nick;
    if (type === 'error') {
      this.joining?.reject(StanzaError.of(p));
      this.joining = null;
    } else if (id === FOCUS_NICK) this.receiveFocus(p, user);
    else if (type === 'unavailable') this.receiveGone(id, isSelf, codes, user);
    else if (!type) this.receiveOccupant(p, id, isSelf, user);
  }

  /** @param {Element} p @param {Element | null} user */
  receiveFocus(p, user) {
    if (attr(p, 'type') === 'unavailable') {
      const had = this.hasFocus;
      this.hasFocus = false;
      if (had) this.events.focusGone();
      return;
    }
    this.hasFocus = bareOf(attr(child(user, 'item'), 'jid')) === this.focusJid;
    if (this.hasFocus) this.events.bridge(!child(p, 'bridgeNotAvailable'));
  }

  /** @param {Element} p @param {string} id @param {boolean} isSelf @param {Element | null} user */
  receiveOccupant(p, id, isSelf, user) {
    const item = child(user, 'item');
    const jid = attr(item, 'jid');
    if (!jid) return;
    const hand = Number(childText(p, 'jitsi_participant_raisedHand'));
    this.present.add(id);
    this.events.occupant({
      id,
      jid,
      name: childText(p, 'nick', NS.nick)?.trim().slice(0, 120) ?? '',
      isModerator: attr(item, 'role') === 'moderator',
      hand: hand > 0 ? hand : null,
      sources: readSources(p, id),
    });
    if (isSelf && this.joining) {
      this.joined = true;
      this.joining.resolve();
      this.joining = null;
    }
  }

  /**
   * @param {string} id @param {boolean} isSelf @param {Set<string>} codes
   * @param {Element | null} user
   */
  receiveGone(id, isSelf, codes, user) {
    const item = child(user, 'item');
    const by = attr(child(item, 'actor'), 'nick');
    const destroy = child(user, 'destroy');
    this.present.delete(id);
    if (!isSelf) {
      this.events.gone(id, codes.has('307') ? by : null);
      return;
    }
    this.joined = false;
    if (destroy) {
      this.events.removed({ kind: 'destroyed', by, reason: childText(destroy, 'reason') ?? '' });
    } else if (codes.has('307') || codes.has('301')) {
      this.events.removed({ kind: 'kicked', by, reason: childText(item, 'reason') ?? '' });
    }
  }

  /** @param {Element} m */
  receiveMessage(m) {
    const from = attr(m, 'from');
    if (bareOf(from) !== this.jid) return;
    const id = attr(m, 'id');
    if (attr(m, 'type') === 'error') {
      this.events.messageFailed(id);
      return;
    }
    const codes = children(child(m, 'x', NS.mucUser), 'status').map((s) => attr(s, 'code'));
    if (!from.includes('/') && codes.includes('104')) this.events.configChanged();
    const text = childText(m, 'body');
    if (!text || !from.includes('/') || attr(m, 'type') !== 'groupchat') return;
    const stamp = Date.parse(attr(child(m, 'delay', NS.delay), 'stamp'));
    this.events.message({ id, from: resourceOf(from), text, at: stamp || Date.now() });
  }

  /** @param {string} id with which the message comes back @param {string} text */
  say(id, text) {
    this.xmpp.send(xml('message', { xmlns: NS.client, to: this.jid, type: 'groupchat', id },
      xml('body', null, text)));
  }

  /** What the room says of itself. @returns {Promise<{ locked: boolean, createdAt: number }>} */
  async info() {
    const iq = await this.xmpp.request({ to: this.jid, type: 'get' },
      xml('query', { xmlns: NS.disco }));
    const query = child(iq, 'query', NS.disco);
    const features = children(query, 'feature').map((f) => attr(f, 'var'));
    const created = children(child(query, 'x', NS.data), 'field')
      .find((f) => attr(f, 'var') === 'muc#roominfo_created_timestamp');
    return {
      locked: features.includes('muc_passwordprotected'),
      createdAt: Number(childText(created, 'value')) || 0,
    };
  }

  /** Sets or, when empty, removes the password; moderators only. @param {string} password */
  async setPassword(password) {
    /** @param {string} name @param {string} value */
    const field = (name, value) => xml('field', { var: name }, xml('value', null, value));
    await this.xmpp.request({ to: this.jid, type: 'set' },
      xml('query', { xmlns: NS.mucOwner },
        xml('x', { xmlns: NS.data, type: 'submit' },
          field('FORM_TYPE', 'http://jabber.org/protocol/muc#roomconfig'),
          field('muc#roomconfig_roomsecret', password),
          field('muc#roomconfig_passwordprotectedroom', password ? '1' : '0'),
          field('muc#roomconfig_whois', 'anyone'))));
  }

  /** Removes somebody; moderators only. @param {string} id */
  async kick(id) {
    await this.xmpp.request({ to: this.jid, type: 'set' },
      xml('query', { xmlns: NS.mucAdmin }, xml('item', { nick: id, role: 'none' })));
  }

  /**
   * Asks the focus to mute somebody; with one's own id and false it says that one is unmuted again.
   * @param {string} id @param {'audio' | 'video' | 'desktop'} kind @param {boolean} muted
   */
  async mute(id, kind, muted) {
    await this.xmpp.request({ to: this.focus, type: 'set' },
      xml('mute', { xmlns: `${NS.jitmeet}/${kind}`, jid: `${this.jid}/${id}` }, String(muted)));
  }
}
