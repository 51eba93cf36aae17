// The state of the meeting: a plain object and events. The only thing that views read; only app.js
// and meeting.js write it.
//
//   store.state                 the whole state (typedef State); read it, never change it
//   store.on(topic, listener)   calls listener(detail) after each change; gives back a function
//                               that ends it
//
// Topics and what their detail is:
//   'page'        what is to be shown has changed (state.page, state.ask, state.after)
//   'room'        name, password lock, start of the meeting
//   'connection'  state.connection: reconnecting, back, attempts
//   'self'        state.self: name, moderator, hand, microphone, camera, screen
//   'people'      detail: id of the person who came, changed or went (state.people)
//   'sources'     detail: name of a source that came, changed (track, muted, forwarded) or went
//   'slots'       detail: SSRC of a slot that got its track (one <audio> per audio slot)
//   'speaker'     state.speaker: dominant speaker, and who is on the large picture
//   'levels'      up to 10 times a second: level and speaking of people and self
//   'chat'        messages, unread count
//   'view'        tile or speaker view, pinned source
//   'devices'     the lists, the chosen ones
//   'probe'       state.probe: the connection test before the meeting
//   'stats'       once a second: state.stats
//   'switches'    state.switches: what the settings turn on and off
//   'notice'      detail: Notice, an event for eyes and ears that is not a state
//
// Sources are named `<id>-a0`, `<id>-v0` (camera), `<id>-v1` (screen). One's own never appear in
// `sources`: one's own pictures are `self.camera.track` and `self.screen.track`.
import { SWITCHES } from './saved.js';

/**
 * @typedef {'idle' | 'prejoin' | 'joining' | 'meeting' | 'after'} Page
 *
 * What the page before the meeting has to ask or say before Join can work.
 * @typedef {null | 'password' | 'password-wrong' | 'full' | 'refused'} Ask
 *
 * The page after the meeting: by is the display name of who did it.
 * @typedef {object} After
 * @property {'left' | 'kicked' | 'destroyed' | 'insecure' | 'old' | 'crash'} kind
 * @property {string} by
 * @property {string} reason
 * @property {number} minutes  spent in the meeting
 *
 * @typedef {object} RoomState
 * @property {string} title    the name as people read it
 * @property {string} url      the link to send
 * @property {boolean} locked  has a password
 * @property {number} since    start of the own stay, milliseconds since 1970; 0 before it
 *
 * @typedef {object} Connection
 * @property {'idle' | 'connecting' | 'joined' | 'reconnecting'} state
 * @property {null | 'network' | 'media'} cause  what was lost: the server, or only the media
 * @property {number} since     when it was lost
 * @property {number} attempt   1 for the first attempt to come back
 * @property {number} retryAt   time of the next attempt, 0 while one runs
 * @property {boolean} media    the media path to the bridge is up
 * @property {boolean} bridge   the server has a bridge
 *
 * Why a device gives nothing.
 * @typedef {null | 'denied' | 'missing' | 'busy'} Problem
 *
 * @typedef {object} Input      microphone or camera
 * @property {boolean} on       what the person wants (and has, when there is no problem)
 * @property {boolean} busy     the device is being opened
 * @property {Problem} problem
 * @property {MediaStreamTrack | null} track
 *
 * @typedef {object} Self
 * @property {string} id        nick in the room, empty before the first join
 * @property {string} name
 * @property {boolean} isModerator
 * @property {number | null} hand  milliseconds since 1970
 * @property {Input} mic
 * @property {Input} camera
 * @property {{ on: boolean, track: MediaStreamTrack | null }} screen
 * @property {number} level     0 to 1, of the microphone, also while it is off
 * @property {boolean} speaking
 *
 * @typedef {object} Person     somebody else in the room; `people` is in order of arrival
 * @property {string} id
 * @property {string} name      display name, may be empty
 * @property {boolean} isModerator
 * @property {number | null} hand
 * @property {boolean} audioMuted
 * @property {boolean} videoMuted
 * @property {number} level     0 to 1
 * @property {boolean} speaking
 * @property {number} spokeAt   when they last spoke, milliseconds since 1970; 0 never
 * @property {boolean} interrupted  the bridge does not hear from them
 * @property {number} bars      0 to 4
 *
 * @typedef {object} Source     a picture or sound of somebody else
 * @property {string} name
 * @property {string} owner
 * @property {'audio' | 'video'} kind
 * @property {'camera' | 'desktop'} videoType
 * @property {boolean} muted
 * @property {number | null} ssrc    of the slot it has now
 * @property {MediaStreamTrack | null} track
 * @property {boolean} forwarded     the bridge sends it at the moment (video)
 * @property {number} since          when it began; the newest screen goes on the stage
 *
 * @typedef {object} Slot       a receive SSRC, which carries one source at a time
 * @property {number} ssrc
 * @property {'audio' | 'video'} kind
 * @property {MediaStreamTrack | null} track
 * @property {string | null} source  name of its present source
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {string} from      person's id
 * @property {string} name      display name at that time
 * @property {string} text
 * @property {number} at
 * @property {boolean} own
 * @property {'sent' | 'pending' | 'failed'} state
 *
 * @typedef {object} View
 * @property {'tile' | 'stage'} mode
 * @property {'tile' | 'stage'} unpinned  the mode to go back to when the pin is taken off
 * @property {string | null} pinned  name of a source, or 'self'
 * @property {boolean} hideSelf
 * @property {number} maxHeight  of received pictures, 0 for the best the network allows
 *
 * @typedef {object} Device
 * @property {string} id
 * @property {string} label
 *
 * @typedef {object} Devices
 * @property {Device[]} mics
 * @property {Device[]} cameras
 * @property {Device[]} speakers
 * @property {string} mic       chosen ids, empty for the default
 * @property {string} camera
 * @property {string} speaker
 *
 * @typedef {import('./media/stats.js').Stats} Stats
 *
 * kind: 'joined' | 'left' {id, name} · 'kicked' {name, by} · 'hand' {id, name} · 'moderator' ·
 * 'muted' {by, what: 'audio' | 'video'} · 'device-lost' {name, now} · 'device-found' {name, what: 'mic' | 'camera', id} ·
 * 'talking-muted' · 'share-failed' · 'device-problem' {what, problem} · 'action-failed' {what}
 * @typedef {{ kind: string, [detail: string]: any }} Notice
 *
 * @typedef {object} State
 * @property {Page} page
 * @property {Ask} ask
 * @property {After | null} after
 * @property {RoomState} room
 * @property {Connection} connection
 * @property {Self} self
 * @property {Map<string, Person>} people
 * @property {Map<string, Source>} sources
 * @property {Map<number, Slot>} slots
 * @property {{ dominant: string | null, stage: string | null }} speaker  person ids; `stage` is
 *   who the large picture follows (hold times are applied), never oneself
 * @property {{ messages: Message[], unread: number, open: boolean }} chat
 * @property {View} view
 * @property {Map<string, number>} wanted  asked height by source name, as the view told it
 * @property {string[]} onStage  sources shown large, as the view told it
 * @property {Devices} devices
 * @property {Map<string, number>} volumes 0 to 100 by person's id; absent is 100
 * @property {import('./saved.js').Switches} switches
 * @property {Stats | null} stats
 * @property {import('./media/probe.js').Probe | 'running' | null} probe
 */

/** @returns {Input} */
const input = () => ({ on: true, busy: false, problem: null, track: null });

/** @returns {State} */
function initial() {
  return {
    page: 'idle',
    ask: null,
    after: null,
    room: { title: '', url: '', locked: false, since: 0 },
    connection: {
      state: 'idle', cause: null, since: 0, attempt: 0, retryAt: 0, media: false, bridge: true,
    },
    self: {
      id: '', name: '', isModerator: false, hand: null, mic: input(), camera: input(),
      screen: { on: false, track: null }, level: 0, speaking: false,
    },
    people: new Map(),
    sources: new Map(),
    slots: new Map(),
    speaker: { dominant: null, stage: null },
    chat: { messages: [], unread: 0, open: false },
    view: { mode: 'tile', unpinned: 'tile', pinned: null, hideSelf: false, maxHeight: 0 },
    switches: { ...SWITCHES },
    wanted: new Map(),
    onStage: [],
    devices: { mics: [], cameras: [], speakers: [], mic: '', camera: '', speaker: '' },
    volumes: new Map(),
    stats: null,
    probe: null,
  };
}

export class Store {
  constructor() {
    this.state = initial();
    /** @type {Map<string, Set<(detail: any) => void>>} */
    this.listeners = new Map();
  }

  /**
   * @param {string} topic
   * @param {(detail: any) => void} listener
   * @returns {() => void} ends it
   */
  on(topic, listener) {
    const set = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, set.add(listener));
    return () => set.delete(listener);
  }

  /** @param {string} topic @param {unknown} [detail] */
  emit(topic, detail) {
    for (const listener of [...this.listeners.get(topic) ?? []]) {
      // one view's fault must not stop the others, nor the meeting
      try { listener(detail); } catch (e) { console.error(e); }
    }
  }

  /**
   * Changes one part of the state and says so.
   * @template {'room' | 'connection' | 'self' | 'speaker' | 'chat' | 'view' | 'devices'} K
   * @param {K} part @param {Partial<State[K]>} change
   */
  set(part, change) {
    Object.assign(this.state[part], change);
    this.emit(part);
  }

  /** @param {Page} page @param {{ ask?: Ask, after?: After | null }} [more] */
  show(page, { ask = null, after = null } = {}) {
    Object.assign(this.state, { page, ask, after });
    this.emit('page');
  }

  /** @param {Notice} notice */
  notify(notice) { this.emit('notice', notice); }
}

/**
 * Whether the bridge holds a picture back that is wanted: unmuted, asked for, mapped, not sent.
 * @param {State} state @param {Source} source
 */
export function isPaused(state, source) {
  return source.kind === 'video' && !source.muted && source.ssrc !== null && !source.forwarded
    && (state.wanted.get(source.name) ?? 0) > 0;
}

/** Shared screens of others, newest first. @param {State} state */
export function screens(state) {
  return [...state.sources.values()]
    .filter((s) => s.kind === 'video' && s.videoType === 'desktop' && !s.muted)
    .sort((a, b) => b.since - a.since);
}

/** The camera of a person, if it is known. @param {State} state @param {string} id */
export function cameraOf(state, id) {
  const named = state.sources.get(`${id}-v0`);
  return named?.videoType === 'camera' ? named : undefined;
}

/** Raised hands in their order; one's own is there too. @param {State} state @returns {string[]} */
export function hands(state) {
  return [...state.people.values(), state.self]
    .filter((p) => p.hand !== null)
    .sort((a, b) => (a.hand ?? 0) - (b.hand ?? 0)).map((p) => p.id);
}

export const store = new Store();
