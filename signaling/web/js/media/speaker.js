// Who is shown large and who has a ring: the hold times of the design (3.2, 3.3). Pure; times in ms.

const FOLLOW_AFTER = 1200;
const HOLD = 3000;
const RING_OFF_AFTER = 600;
const SPEAKING_LEVEL = 0.02;

/** Follows the dominant speaker slowly enough to be watched. */
export class StageSpeaker {
  constructor() {
    /** @type {string | null} who is large */
    this.current = null;
    this.changedAt = -Infinity;
    /** @type {string | null} who speaks now */
    this.candidate = null;
    this.candidateSince = 0;
  }

  /**
   * The bridge names a dominant speaker; null in silence or when it is oneself.
   * @param {string | null} id @param {number} now
   */
  dominant(id, now) {
    if (id === this.candidate) return;
    this.candidate = id;
    this.candidateSince = now;
  }

  /** Somebody left. @param {string} id */
  gone(id) {
    if (this.candidate === id) this.candidate = null;
    if (this.current !== id) return;
    this.current = null;
    this.changedAt = -Infinity;
  }

  /** @param {number} now @returns {string | null} who is to be large */
  tick(now) {
    const { candidate } = this;
    if (candidate === null || candidate === this.current) return this.current;
    // nobody is large yet: there is nothing to hold
    const isDue = this.current === null
      || (now - this.candidateSince >= FOLLOW_AFTER && now - this.changedAt >= HOLD);
    if (isDue) {
      this.current = candidate;
      this.changedAt = now;
    }
    return this.current;
  }
}

/** A ring: on at once, off a while after the level has fallen. */
export class Ring {
  constructor() {
    this.on = false;
    this.heardAt = -Infinity;
  }

  /** @param {number} level 0 to 1 @param {number} now @returns {boolean} */
  level(level, now) {
    if (level >= SPEAKING_LEVEL) {
      this.heardAt = now;
      this.on = true;
    } else if (now - this.heardAt >= RING_OFF_AFTER) this.on = false;
    return this.on;
  }
}
