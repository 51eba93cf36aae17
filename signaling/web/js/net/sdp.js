// SDP: writes every remote description from the kept offer, reads the browser's answers, and adds
// simulcast to them (web-client design 12.1). Pure functions on strings.

/**
 * @typedef {import('./jingle.js').Offer} Offer
 * @typedef {import('./jingle.js').Kind} Kind
 *
 * @typedef {object} Line  one m-line of the remote description; its mid is its index
 * @property {Kind} kind
 * @property {'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'} direction seen from the bridge
 * @property {number | null} ssrc    what the bridge sends here
 * @property {number | null} rtx
 * @property {string} stream         id of the media stream
 * @property {boolean} [rids]        ask for simulcast by RID (Firefox)
 *
 * @typedef {object} LocalLine       one m-line of an answer
 * @property {string} mid
 * @property {Kind} kind
 * @property {number[]} ssrcs
 * @property {{ semantics: string, ssrcs: number[] }[]} groups
 * @property {import('./jingle.js').Description} description
 *
 * @typedef {object} LocalDescription
 * @property {import('./jingle.js').IceTransport} transport
 * @property {LocalLine[]} lines
 */

const RID_URI = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
const LAYERS = 3;

/** A value from the other side, which must not be able to begin a line. @param {unknown} v */
const clean = (v) => String(v).replace(/[\u0000-\u001f]+/g, ' ').trim();

/** @param {Record<string, string>} c attributes of a candidate */
function candidateLine(c) {
  const parts = [c.foundation, c.component, c.protocol, c.priority, c.ip, c.port, 'typ', c.type];
  if (c['rel-addr']) parts.push('raddr', c['rel-addr'], 'rport', c['rel-port'] ?? '0');
  if (c.protocol === 'tcp') parts.push('tcptype', c.tcptype ?? 'passive');
  parts.push('generation', c.generation ?? '0');
  return `a=candidate:${parts.map(clean).join(' ')}`;
}

/** @param {Offer} offer */
function transportLines({ transport }) {
  return [
    `a=ice-ufrag:${clean(transport.ufrag)}`,
    `a=ice-pwd:${clean(transport.pwd)}`,
    ...transport.fingerprints.map((f) => `a=fingerprint:${clean(f.hash)} ${clean(f.value)}`),
    'a=setup:actpass',
    ...transport.candidates
      .filter((c) => c.protocol === 'udp' || c.protocol === 'tcp').map(candidateLine),
  ];
}

/** @param {import('./jingle.js').Payload} p */
function payloadLines(p) {
  const channels = p.channels > 1 ? `/${p.channels}` : '';
  const out = [`a=rtpmap:${p.id} ${clean(p.name)}/${p.clockrate}${channels}`];
  if (p.parameters.length > 0) {
    const list = p.parameters
      .map(({ name, value }) => (name ? `${clean(name)}=${clean(value)}` : clean(value)));
    out.push(`a=fmtp:${p.id} ${list.join(';')}`);
  }
  for (const f of p.feedback) {
    out.push(`a=rtcp-fb:${p.id} ${clean(f.type)}${f.subtype ? ` ${clean(f.subtype)}` : ''}`);
  }
  return out;
}

/** The RID extension, with an id that no medium uses: Firefox keeps one table for them all. @param {Offer} offer */
function ridExtension({ media }) {
  const used = [...media.audio.extensions, ...media.video.extensions];
  if (used.some((e) => e.uri === RID_URI)) return [];
  for (let id = 1; id < 15; id++) {
    if (!used.some((e) => e.id === id)) return [`a=extmap:${id} ${RID_URI}`];
  }
  return [];
}

/** @param {Line} line */
function ssrcLines({ ssrc, rtx, stream, kind }) {
  if (ssrc === null) return [];
  const all = rtx === null ? [ssrc] : [ssrc, rtx];
  const msid = `${stream} ${stream}-${kind}`;
  return [
    `a=msid:${msid}`,
    ...(rtx === null ? [] : [`a=ssrc-group:FID ${ssrc} ${rtx}`]),
    ...all.flatMap((s) => [`a=ssrc:${s} cname:${stream}`, `a=ssrc:${s} msid:${msid}`]),
  ];
}

/** @param {Offer} offer @param {Line} line @param {number} index */
function mediaLines(offer, line, index) {
  const { payloads, extensions, mixed } = offer.media[line.kind];
  return [
    `m=${line.kind} 9 UDP/TLS/RTP/SAVPF ${payloads.map((p) => p.id).join(' ')}`,
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    ...transportLines(offer),
    `a=mid:${index}`,
    `a=${line.direction}`,
    'a=rtcp-mux',
    ...(mixed ? ['a=extmap-allow-mixed'] : []),
    ...extensions.map((e) => `a=extmap:${e.id} ${clean(e.uri)}`),
    ...(line.rids ? ridExtension(offer) : []),
    ...payloads.flatMap(payloadLines),
    ...(line.direction === 'sendrecv' || line.direction === 'sendonly' ? ssrcLines(line) : []),
    ...(line.rids ? ['a=rid:1 recv', 'a=rid:2 recv', 'a=rid:3 recv', 'a=simulcast:recv 1;2;3'] : []),
  ];
}

/**
 * The remote description, always an offer: one transport, repeated in every m-line.
 * @param {Offer} offer
 * @param {Line[]} lines
 * @param {number} version  rises with each description of the session
 */
export function writeRemote(offer, lines, version) {
  return [
    'v=0',
    `o=- 1 ${version} IN IP4 0.0.0.0`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${lines.map((_, i) => i).join(' ')}`,
    'a=msid-semantic: WMS *',
    ...lines.flatMap((line, i) => mediaLines(offer, line, i)),
    '',
  ].join('\r\n');
}

/** @param {string[]} lines @param {string} key @returns {string[]} values of `a=key:…` */
const values = (lines, key) => lines.filter((l) => l.startsWith(`a=${key}:`))
  .map((l) => l.slice(key.length + 3));

/** @param {string} sdp @returns {string[][]} the session part, then one list for each m-line */
function sections(sdp) {
  /** @type {string[][]} */
  const out = [[]];
  for (const line of sdp.split(/\r?\n/).filter(Boolean)) {
    if (line.startsWith('m=')) out.push([]);
    out.at(-1)?.push(line);
  }
  return out;
}

/** @param {string[]} lines @returns {import('./jingle.js').Description} */
function readDescription(lines) {
  const payloads = values(lines, 'rtpmap').map((v) => {
    const [, id, name, clockrate, channels] = /^(\d+) ([^/]+)\/(\d+)(?:\/(\d+))?/.exec(v) ?? [];
    const fmtp = values(lines, 'fmtp').filter((f) => f.startsWith(`${id} `))
      .flatMap((f) => f.slice(f.indexOf(' ') + 1).split(';')).map((p) => p.trim()).filter(Boolean);
    const feedback = values(lines, 'rtcp-fb').filter((f) => f.startsWith(`${id} `));
    return {
      id: Number(id),
      name: name ?? '',
      clockrate: Number(clockrate),
      channels: Number(channels ?? 1),
      parameters: fmtp.map((p) => {
        const at = p.indexOf('=');
        return { name: at < 0 ? '' : p.slice(0, at), value: p.slice(at + 1) };
      }),
      feedback: feedback.map((f) => {
        const [, type = '', subtype = ''] = f.split(' ');
        return { type, subtype };
      }),
    };
  });
  const extensions = values(lines, 'extmap').map((v) => {
    const [id = '', uri = ''] = v.split(' ');
    return { id: Number.parseInt(id, 10), uri };
  });
  return {
    payloads,
    extensions: extensions.filter((e) => e.uri !== RID_URI),
    mixed: lines.includes('a=extmap-allow-mixed'),
  };
}

/** @param {string[]} lines */
function readGroups(lines) {
  return values(lines, 'ssrc-group').map((v) => {
    const [semantics = '', ...ssrcs] = v.trim().split(/\s+/);
    return { semantics, ssrcs: ssrcs.map(Number) };
  });
}

/**
 * Reads the browser's answer.
 * @param {string} sdp
 * @returns {LocalDescription}
 */
export function readLocal(sdp) {
  const [session = [], ...media] = sections(sdp);
  const first = [...(media[0] ?? []), ...session];
  const [hash = '', value = ''] = (values(first, 'fingerprint')[0] ?? '').split(' ');
  return {
    transport: {
      ufrag: values(first, 'ice-ufrag')[0] ?? '',
      pwd: values(first, 'ice-pwd')[0] ?? '',
      fingerprints: [{ hash, value, setup: values(first, 'setup')[0] ?? 'active' }],
      candidates: [],
    },
    lines: media.map((lines) => ({
      mid: values(lines, 'mid')[0] ?? '',
      kind: lines[0]?.startsWith('m=audio') ? 'audio' : 'video',
      ssrcs: [...new Set(values(lines, 'ssrc').map((v) => Number.parseInt(v, 10)))],
      groups: readGroups(lines),
      description: {
        ...readDescription(lines),
        mixed: lines.includes('a=extmap-allow-mixed') || session.includes('a=extmap-allow-mixed'),
      },
    })),
  };
}

/**
 * SSRCs and groups of an own source as they are signalled. Firefox writes its three layers as three
 * FID groups, smallest first, without the SIM group that names them as layers of one picture.
 * @param {LocalLine} line
 */
export function ownGroups({ ssrcs, groups }) {
  const pairs = groups.filter((g) => g.semantics === 'FID');
  const hasSim = groups.some((g) => g.semantics === 'SIM');
  if (hasSim || pairs.length < 2) return { ssrcs, groups };
  const sim = { semantics: 'SIM', ssrcs: pairs.map((g) => g.ssrcs[0] ?? 0) };
  return { ssrcs, groups: [sim, ...groups] };
}

/**
 * Gives the camera of a Chromium answer three layers: a SIM group of three SSRCs, each with RTX.
 * `extra` are the four further SSRCs (layer, RTX, layer, RTX), the same for the whole session.
 * An answer that already has the group is left as it is.
 * @param {string} sdp
 * @param {string} mid
 * @param {number[]} extra
 */
export function addSimulcast(sdp, mid, extra) {
  const [session = [], ...media] = sections(sdp);
  const lines = media.find((m) => m.includes(`a=mid:${mid}`));
  const groups = lines ? readGroups(lines) : [];
  const [ssrc, rtx] = groups.find((g) => g.semantics === 'FID')?.ssrcs ?? [];
  if (!lines || !ssrc || !rtx || groups.some((g) => g.semantics === 'SIM')) return sdp;
  const attributes = lines.filter((l) => l.startsWith(`a=ssrc:${ssrc} `))
    .map((l) => l.slice(`a=ssrc:${ssrc} `.length));
  const [b = 0, bRtx = 0, c = 0, cRtx = 0] = extra;
  const kept = lines.filter((l) => !l.startsWith('a=ssrc:') && !l.startsWith('a=ssrc-group:'));
  const pairs = [[ssrc, rtx], [b, bRtx], [c, cRtx]];
  kept.push(
    `a=ssrc-group:SIM ${ssrc} ${b} ${c}`,
    ...pairs.map((p) => `a=ssrc-group:FID ${p.join(' ')}`),
    ...pairs.flat().flatMap((s) => attributes.map((a) => `a=ssrc:${s} ${a}`)),
  );
  lines.splice(0, lines.length, ...kept);
  return [...session, ...media.flat(), ''].join('\r\n');
}

/**
 * How the layers of a picture `height` high are encoded: 180, 360 and the rest; a layer that would
 * be a second copy is off.
 * @param {number} height
 * @returns {{ active: boolean, scaleResolutionDownBy: number, maxBitrate: number }[]}
 */
export function layers(height) {
  const bitrates = [200_000, 700_000, 2_500_000];
  const heights = [180, 360, Infinity];
  return Array.from({ length: LAYERS }, (_, i) => ({
    active: i === 0 || height > (heights[i - 1] ?? 0) * 1.2,
    scaleResolutionDownBy: Math.max(1, height / (heights[i] ?? height)),
    maxBitrate: bitrates[i] ?? 0,
  }));
}
