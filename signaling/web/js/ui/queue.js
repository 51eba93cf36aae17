// Which notices are on the screen and which wait: by priority, then by age (design 6). Pure.

/**
 * @typedef {object} Entry
 * @property {number} id
 * @property {1 | 2 | 3 | 4 | 5} prio
 * @property {number} at  ms
 */

/**
 * The entries that are shown when `room` of them fit; what is urgent comes first.
 * @template {Entry} T
 * @param {T[]} entries @param {number} room @returns {T[]}
 */
export function shown(entries, room) {
  return [...entries].sort((a, b) => a.prio - b.prio || a.at - b.at).slice(0, room);
}

/** Says whether something was said already within a time. */
export class Once {
  /** @param {number} every ms */
  constructor(every) {
    this.every = every;
    /** @type {Map<string, number>} */
    this.saidAt = new Map();
  }

  /** @param {string} what @param {number} now @returns {boolean} whether it may be said now */
  may(what, now) {
    if (now - (this.saidAt.get(what) ?? -Infinity) < this.every) return false;
    this.saidAt.set(what, now);
    return true;
  }
}
