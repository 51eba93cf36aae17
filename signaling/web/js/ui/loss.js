// What there is to say about a lost connection, by its age (design 7). Pure.

const QUIET = 2000;
const COUNTS_AFTER = 30_000;
/** After this the meeting gives way to a page that says so; it goes on trying. */
const SILENT_AFTER = 5 * 60_000;

/** @typedef {'none' | 'lost' | 'counting' | 'offline' | 'silent'} Loss */

/**
 * @param {Pick<import('../store.js').Connection, 'state' | 'since'>} connection
 * @param {number} now @param {boolean} isOnline whether the device has a network
 * @returns {Loss}
 */
export function lossOf({ state, since }, now, isOnline) {
  if (state !== 'reconnecting' || now - since < QUIET) return 'none';
  if (now - since >= SILENT_AFTER) return 'silent';
  if (!isOnline) return 'offline';
  return now - since >= COUNTS_AFTER ? 'counting' : 'lost';
}
