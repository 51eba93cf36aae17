// Readable random room names: adjective + material + thing + two digits. about 64 x 64 x 64 x 90 = 24.5 bits, hard to guess by hand;
// the server's rate limit covers the rest. Uses crypto, never Math.random. Final.
const A = 'amber ancient brisk calm candid clear clever cosy crisp curious daring deep early easy even fair fearless fine firm frank free fresh gentle glad golden grand happy hardy honest humble jolly keen kind late light lively lucky mellow merry mighty misty modest neat noble open patient placid plain polite proud quick quiet rapid ready silent silver simple sincere steady still sunny swift warm'.split(' ');
const B = 'ash aspen basalt beech birch bronze cedar chalk cherry clay cobalt copper coral cork cotton cypress ebony elm fern flax flint glass granite grass hazel hemp ice iris iron ivory ivy jade juniper lace larch lime linen maple marble moss nickel oak olive opal paper pearl pebble pine plum poplar quartz rain reed river rope rowan sage salt sand slate snow spruce steel stone'.split(' ');
const C = 'anchor arch arrow badger barge basin beacon bell bridge brook canal canoe cliff crane crossing dock eagle falcon ferry finch fjord forest fox garden gate glade harbor hare haven hawk heron hill island junction kite lagoon lake lantern lark meadow mill otter owl path pier pond port quay raven ridge robin sail shore span spring station stream summit swan tower trail valley viaduct wharf willow'.split(' ');
/** @param {string[]} list @returns {string} */
const pick = (list) => { const n = new Uint32Array(1); crypto.getRandomValues(n); return list[(n[0] ?? 0) % list.length] ?? ''; };
export const randomName = () => `${pick(A)}-${pick(B)}-${pick(C)}-${10 + ((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 90)}`;

/**
 * 0 forbidden characters, 1 easy to guess, 2 fine. Same rule as the server's.
 * @param {string} name
 */
export function nameStrength(name) {
  const s = name.trim();
  if (/[/?#&:"'<>\\@]/.test(s)) return 0;
  if (s.length < 12 || /^(test|demo|meeting|room|встреча|планерка|комната)\W*\d*$/iu.test(s)) return 1;
  return 2;
}
