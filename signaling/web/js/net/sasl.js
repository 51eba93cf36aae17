// Authentication: the one mechanism guests need, ANONYMOUS (RFC 4505).
// A token, where there is one, travels in the transport's URL, also with ANONYMOUS.
import { NS, child, children, xml } from './xml.js';

/**
 * The first step with the server that offers `features`; throws when it wants a password.
 * @param {Element} features
 */
export function begin(features) {
  const offered = children(child(features, 'mechanisms', NS.sasl), 'mechanism', NS.sasl)
    .map((m) => m.textContent?.trim());
  if (!offered.includes('ANONYMOUS')) throw new Error('password required');
  return xml('auth', { xmlns: NS.sasl, mechanism: 'ANONYMOUS' });
}

/**
 * What the server's answer means: true for success, false for something else than an answer.
 * @param {Element} answer
 */
export function isSuccess(answer) {
  if (answer.namespaceURI !== NS.sasl) return false;
  if (answer.localName === 'success') return true;
  if (answer.localName !== 'failure') return false;
  throw new Error(child(answer, 'text')?.textContent || children(answer)[0]?.localName || 'refused');
}
