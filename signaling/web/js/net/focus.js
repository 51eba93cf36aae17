// The conference request: the focus is asked to bring the room about before it is entered.
import { NS, attr, child, children, xml } from './xml.js';

const LONGEST_WAIT = 120_000;

/**
 * Asks until the focus is in the room; rejects with a `StanzaError` when it refuses.
 * @param {import('./xmpp.js').Xmpp} xmpp
 * @param {{ focus: string, room: string, machine: string, token: string }} what
 * @returns {Promise<{ focusJid: string, authentication: boolean }>}
 */
export async function requestConference(xmpp, { focus, room, machine, token }) {
  for (let wait = 1000; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
    const iq = await xmpp.request({ to: focus, type: 'set' },
      xml('conference', { xmlns: NS.focus, room, 'machine-uid': machine, token: token || null },
        xml('property', { name: 'rtcstatsEnabled', value: 'false' })));
    const answer = child(iq, 'conference', NS.focus);
    if (attr(answer, 'ready') === 'true') {
      const properties = new Map(children(answer, 'property')
        .map((p) => [attr(p, 'name'), attr(p, 'value')]));
      return {
        focusJid: attr(answer, 'focusjid'),
        authentication: properties.get('authentication') === 'true',
      };
    }
    await new Promise((done) => { setTimeout(done, wait); });
  }
}
