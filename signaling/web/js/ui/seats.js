// Who sits on the first page of tiles: order of arrival, except that somebody who speaks from
// another page takes the place of the one who has been silent longest (design 3.1). Pure.

const SPEAKS_FOR = 2000;
const SWAP_EVERY = 5000;

/**
 * @typedef {object} Seat
 * @property {string} id
 * @property {boolean} speaking
 * @property {number} spokeAt   milliseconds since 1970, 0 never
 * @property {boolean} keeps    pinned or with a raised hand: nobody takes this place
 */

export class Seats {
  constructor() {
    /** @type {string[]} */
    this.order = [];
    /** @type {Map<string, number>} since when somebody has been speaking */
    this.since = new Map();
    this.swappedAt = -Infinity;
  }

  /**
   * The order of the tiles; who is new sits at the end.
   * @param {string[]} ids in order of arrival
   */
  arrange(ids) {
    const here = new Set(ids);
    const known = new Set(this.order);
    this.order = [...this.order.filter((id) => here.has(id)), ...ids.filter((id) => !known.has(id))];
    for (const id of this.since.keys()) if (!here.has(id)) this.since.delete(id);
    return this.order;
  }

  /**
   * Gives a place on the page to who speaks off it.
   * @param {Seat[]} seats @param {{ from: number, to: number }} page  indexes in `order`
   * @param {number} now
   * @returns {boolean} whether somebody has moved
   */
  tick(seats, { from, to }, now) {
    for (const { id, speaking } of seats) {
      if (!speaking) this.since.delete(id);
      else if (!this.since.has(id)) this.since.set(id, now);
    }
    if (now - this.swappedAt < SWAP_EVERY) return false;
    const byId = new Map(seats.map((s) => [s.id, s]));
    const comes = this.order.findIndex((id, i) => (i < from || i >= to)
      && now - (this.since.get(id) ?? now) >= SPEAKS_FOR);
    const quiet = this.order.slice(from, to).map((id) => byId.get(id))
      .filter((s) => s && !s.keeps && !s.speaking)
      .sort((a, b) => (a?.spokeAt ?? 0) - (b?.spokeAt ?? 0))[0];
    if (comes < 0 || !quiet) return false;
    const goes = this.order.indexOf(quiet.id);
    const speaker = this.order[comes] ?? '';
    this.order[comes] = quiet.id;
    this.order[goes] = speaker;
    this.swappedAt = now;
    return true;
  }
}
