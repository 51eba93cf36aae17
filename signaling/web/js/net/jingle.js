// Jingle stanzas to plain objects and back. Nothing here knows SDP.
import { NS, attr, child, childText, children, xml } from './xml.js';

/**
 * @typedef {'audio' | 'video'} Kind
 * @typedef {{ name: string, value: string }} Parameter
 *
 * @typedef {object} Payload
 * @property {number} id
 * @property {string} name
 * @property {number} clockrate
 * @property {number} channels
 * @property {Parameter[]} parameters
 * @property {{ type: string, subtype: string }[]} feedback
 *
 * @typedef {object} Description  of one medium
 * @property {Payload[]} payloads
 * @property {{ id: number, uri: string }[]} extensions
 * @property {boolean} mixed      one- and two-byte extensions may be mixed
 *
 * @typedef {object} IceTransport
 * @property {string} ufrag
 * @property {string} pwd
 * @property {{ hash: string, setup: string, value: string }[]} fingerprints
 * @property {Record<string, string>[]} candidates  attributes as in the stanza
 *
 * @typedef {object} Source  one picture or sound: the SSRC that carries it, and its RTX
 * @property {string} owner
 * @property {string} name
 * @property {Kind} kind
 * @property {number} ssrc
 * @property {number | null} rtx
 * @property {'camera' | 'desktop'} videoType
 *
 * @typedef {object} Offer
 * @property {string} sid
 * @property {string} initiator
 * @property {string} bridgeSession  id, or empty
 * @property {string[]} channels     URLs of the bridge channel
 * @property {IceTransport} transport
 * @property {Record<Kind, Description>} media
 * @property {Source[]} sources
 *
 * @typedef {object} OwnSource  a source of this client, as it is signalled
 * @property {Kind} kind
 * @property {string} name
 * @property {string} msid
 * @property {'camera' | 'desktop' | null} videoType
 * @property {number[]} ssrcs
 * @property {{ semantics: string, ssrcs: number[] }[]} groups
 *
 * @typedef {{ semantics: string, ssrcs: number[] }} Group
 */

/** @param {Element | null} el @param {string} name */
const num = (el, name) => Number(attr(el, name)) || 0;

/** @param {string} text @returns {number | null} */
function readSsrc(text) {
  const n = Number(text);
  return Number.isInteger(n) && n > 0 && n <= 0xffffffff ? n : null;
}

/** @param {Element | null} description @returns {Description} */
function readDescription(description) {
  const payloads = children(description, 'payload-type').map((p) => ({
    id: num(p, 'id'),
    name: attr(p, 'name'),
    clockrate: num(p, 'clockrate'),
    channels: num(p, 'channels') || 1,
    parameters: children(p, 'parameter')
      .map((e) => ({ name: attr(e, 'name'), value: attr(e, 'value') })),
    feedback: children(p, 'rtcp-fb')
      .map((e) => ({ type: attr(e, 'type'), subtype: attr(e, 'subtype') })),
  }));
  return {
    payloads: payloads.filter((p) => p.id <= 127 && p.name && p.clockrate),
    extensions: children(description, 'rtp-hdrext')
      .map((e) => ({ id: num(e, 'id'), uri: attr(e, 'uri') })).filter((e) => e.id && e.uri),
    mixed: child(description, 'extmap-allow-mixed') !== null,
  };
}

/** @param {Element | null} transport @returns {IceTransport} */
function readTransport(transport) {
  return {
    ufrag: attr(transport, 'ufrag'),
    pwd: attr(transport, 'pwd'),
    fingerprints: children(transport, 'fingerprint').map((f) => ({
      hash: attr(f, 'hash'), setup: attr(f, 'setup'), value: f.textContent?.trim() ?? '',
    })),
    candidates: children(transport, 'candidate')
      .map((c) => Object.fromEntries([...c.attributes].map((a) => [a.name, a.value]))),
  };
}

/**
 * Folds SSRCs and groups into sources: the one of a name that no group puts behind another.
 * @param {{ ssrc: number, name: string, owner: string, videoType: 'camera' | 'desktop' }[]} list
 * @param {Group[]} groups
 * @param {Kind} kind
 * @returns {Source[]}
 */
function fold(list, groups, kind) {
  const behind = new Set(groups.flatMap((g) => g.ssrcs.slice(1)));
  /** @type {Map<string, Source>} */
  const out = new Map();
  for (const { ssrc, name, owner, videoType } of list) {
    if (behind.has(ssrc) || out.has(name)) continue;
    const rtx = groups.find((g) => g.semantics === 'FID' && g.ssrcs[0] === ssrc)?.ssrcs[1] ?? null;
    out.set(name, { owner, name, kind, ssrc, rtx, videoType });
  }
  return [...out.values()];
}

/** @param {Element} content @returns {Source[]} */
function readXmlSources(content) {
  const description = child(content, 'description', NS.rtp);
  const kind = attr(description, 'media') || attr(content, 'name');
  if (kind !== 'audio' && kind !== 'video') return [];
  const list = [];
  for (const s of children(description, 'source')) {
    const ssrc = readSsrc(attr(s, 'ssrc'));
    const owner = attr(child(s, 'ssrc-info'), 'owner');
    if (ssrc === null) continue;
    list.push({
      ssrc,
      name: attr(s, 'name') || String(ssrc),
      owner: owner.slice(owner.indexOf('/') + 1),
      videoType: /** @type {'camera' | 'desktop'} */ (
        attr(s, 'videoType') === 'desktop' ? 'desktop' : 'camera'),
    });
  }
  const groups = children(description, 'ssrc-group').map((g) => ({
    semantics: attr(g, 'semantics'),
    ssrcs: children(g, 'source').map((s) => readSsrc(attr(s, 'ssrc'))).filter((n) => n !== null),
  }));
  return fold(list, groups, kind);
}

/**
 * Sources as JSON: `{"sources":{owner:[[video],[video groups],[audio],[audio groups]]}}`.
 * @param {string | null} text
 * @returns {Source[]}
 */
function readJsonSources(text) {
  /** @type {any} */
  let json = null;
  try { json = JSON.parse(text ?? 'null'); } catch { return []; }
  /** @type {Source[]} */
  const out = [];
  for (const [owner, lists] of Object.entries(json?.sources ?? {})) {
    if (!Array.isArray(lists)) continue;
    for (const [kind, at] of /** @type {const} */ ([['video', 0], ['audio', 2]])) {
      const list = asArray(lists[at]).map((s) => ({
        ssrc: readSsrc(String(s?.s)) ?? 0,
        name: String(s?.n ?? s?.s),
        owner,
        videoType: /** @type {'camera' | 'desktop'} */ (s?.v === 'd' ? 'desktop' : 'camera'),
      }));
      const groups = asArray(lists[at + 1]).map((g) => ({
        semantics: asArray(g)[0] === 's' ? 'SIM' : 'FID',
        ssrcs: asArray(g).slice(1).map((n) => readSsrc(String(n))).filter((n) => n !== null),
      }));
      out.push(...fold(list.filter((s) => s.ssrc), groups, kind));
    }
  }
  return out;
}

/** @param {unknown} v @returns {any[]} */
const asArray = (v) => (Array.isArray(v) ? v : []);

/** Sources of a session-initiate, source-add or source-remove. @param {Element} jingle */
export function readSources(jingle) {
  const json = child(jingle, 'json-message', NS.jitmeet);
  if (json) return readJsonSources(json.textContent);
  return children(jingle, 'content').flatMap(readXmlSources);
}

/** Reads a session-initiate; throws when something a session needs is missing. @param {Element} jingle @returns {Offer} */
export function readOffer(jingle) {
  /** @param {Kind} name */
  const content = (name) => children(jingle, 'content').find((c) => attr(c, 'name') === name);
  const transport = child(content('audio'), 'transport', NS.ice);
  const offer = {
    sid: attr(jingle, 'sid'),
    initiator: attr(jingle, 'initiator'),
    bridgeSession: attr(child(jingle, 'bridge-session', NS.focus), 'id'),
    channels: children(transport, 'web-socket').map((w) => attr(w, 'url')).filter(Boolean),
    transport: readTransport(transport),
    media: {
      audio: readDescription(child(content('audio'), 'description', NS.rtp)),
      video: readDescription(child(content('video'), 'description', NS.rtp)),
    },
    sources: readSources(jingle),
  };
  if (!offer.sid || !offer.transport.ufrag || !offer.transport.fingerprints.length
    || !offer.media.audio.payloads.length || !offer.media.video.payloads.length) {
    throw new Error('incomplete session-initiate');
  }
  return offer;
}

/** @param {OwnSource} s */
function writeSource({ name, msid, videoType, ssrcs, groups }) {
  return [
    ssrcs.map((ssrc) => xml('source', { xmlns: NS.source, ssrc, name, videoType },
      xml('parameter', { name: 'msid', value: msid }))),
    groups.map((g) => xml('ssrc-group', { xmlns: NS.source, semantics: g.semantics },
      g.ssrcs.map((ssrc) => xml('source', { ssrc })))),
  ].flat();
}

/** @param {Kind} kind @param {Description} d @param {OwnSource[]} sources */
function writeDescription(kind, d, sources) {
  return xml('description', { xmlns: NS.rtp, media: kind },
    d.payloads.map((p) => xml('payload-type',
      { id: p.id, name: p.name, clockrate: p.clockrate, channels: p.channels },
      p.parameters.map((a) => xml('parameter', a)),
      p.feedback.map((f) => xml('rtcp-fb',
        { xmlns: NS.feedback, type: f.type, subtype: f.subtype || null })))),
    sources.filter((s) => s.kind === kind).flatMap(writeSource),
    xml('rtcp-mux'),
    d.extensions.map((e) => xml('rtp-hdrext', { xmlns: NS.hdrext, id: e.id, uri: e.uri })),
    d.mixed && xml('extmap-allow-mixed', { xmlns: NS.hdrext }));
}

/**
 * @param {Offer} offer
 * @param {string} responder
 * @param {{ transport: IceTransport, media: Record<Kind, Description>, sources: OwnSource[] }} answer
 */
export function sessionAccept(offer, responder, { transport, media, sources }) {
  const ice = xml('transport',
    { xmlns: NS.ice, ufrag: transport.ufrag, pwd: transport.pwd },
    transport.fingerprints.map((f) => xml('fingerprint',
      { xmlns: NS.dtls, hash: f.hash, setup: f.setup }, f.value)));
  const kinds = /** @type {const} */ (['audio', 'video']);
  return xml('jingle',
    { xmlns: NS.jingle, action: 'session-accept', initiator: offer.initiator, responder, sid: offer.sid },
    xml('group', { xmlns: NS.grouping, semantics: 'BUNDLE' },
      kinds.map((name) => xml('content', { name }))),
    kinds.map((name) => xml('content', { creator: 'responder', name, senders: 'both' },
      writeDescription(name, media[name], sources), ice)));
}

/** @param {Offer} offer @param {'source-add' | 'source-remove'} action @param {OwnSource[]} sources */
export function sourceChange(offer, action, sources) {
  const kinds = [...new Set(sources.map((s) => s.kind))];
  return xml('jingle', { xmlns: NS.jingle, action, initiator: offer.initiator, sid: offer.sid },
    kinds.map((kind) => xml('content', { creator: 'responder', name: kind, senders: 'both' },
      xml('description', { xmlns: NS.rtp, media: kind },
        sources.filter((s) => s.kind === kind).flatMap(writeSource)))));
}

/**
 * Ends the session; with `restart` the focus begins a new one.
 * @param {Offer} offer
 * @param {{ reason: string, text?: string, restart: boolean }} why
 */
export function sessionTerminate(offer, { reason, text, restart }) {
  return xml('jingle',
    { xmlns: NS.jingle, action: 'session-terminate', initiator: offer.initiator, sid: offer.sid },
    xml('reason', null, xml(reason), text && xml('text', null, text)),
    offer.bridgeSession && xml('bridge-session',
      { xmlns: NS.focus, id: offer.bridgeSession, restart: String(restart) }));
}

/** Why the other side ended the session. @param {Element} jingle */
export function readReason(jingle) {
  const reason = child(jingle, 'reason');
  return childText(reason, 'text') || children(reason)[0]?.localName || '';
}
