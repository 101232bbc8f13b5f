/** Every limit of the set-up page, in one place: what a technician never meets, and what who means harm does. */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'

export const SETUP_PORT = 8_443

/** Of the one-time code: 5 bits each, 40 in all, against 5 tries a code and a pause behind each code. */
export const CODE_CHARACTERS = 8
/** Of a code from a file, which somebody may have chosen. */
export const MAX_CODE_CHARACTERS = 32
/** Wrong codes after which there is a new one, and a pause. */
export const TRIES = 5
/** In which no code is looked at: the first, and twice the last each time, up to the most. */
export const LOGIN_PAUSE_MS = { first: 30 * SECOND_MS, most: HOUR_MS } as const

/** Without a touch for so long, the log-in ends. */
export const SESSION_IDLE_MS = 20 * MINUTE_MS
/** Without any use for so long, the page ends. */
export const CLOSE_IDLE_MS = HOUR_MS
/** Used or not, after so long the page ends: a camera does not stay dark for one that was left open. RuntimeMaxSec of candor-setup.service is longer. */
export const PAGE_LIFE_MS = 12 * HOUR_MS
/** Looks that have not come round for so long mean that the page hangs; its service's watchdog then ends it. */
export const STUCK_MS = MINUTE_MS
/** Between looks whether a log-in has ended, or addresses of the unit have changed. */
export const TICK_MS = 5 * SECOND_MS
/** Such looks until a port that can be opened nowhere ends the page. */
export const OPEN_TRIES = 4

export interface ServerLimits {
  /** At once, each address of the unit with its own count. */
  maxConnections: number
  maxPerAddress: number
  handshakeMs: number
  /** For a request's head, and for all of it. */
  headMs: number
  requestMs: number
  /** A connection that neither takes nor sends anything. */
  silentMs: number
  maxHeadBytes: number
  /** A claim's file is the largest that is sent. */
  maxBodyBytes: number
  /** From one address; a page that shows pictures asks up to 30 times a second. */
  maxRequestsPerMinute: number
}

export const SERVER_LIMITS: ServerLimits = {
  maxConnections: 24,
  maxPerAddress: 8,
  handshakeMs: 10 * SECOND_MS,
  headMs: 10 * SECOND_MS,
  requestMs: 20 * SECOND_MS,
  silentMs: 30 * SECOND_MS,
  maxHeadBytes: 8 * 1024,
  maxBodyBytes: 64 * 1024,
  maxRequestsPerMinute: 2_400,
}

/** A request for the next picture is answered empty after this time, so that no connection waits for a camera that is gone. */
export const LOOK_WAIT_MS = 8 * SECOND_MS
/** A request that chooses a camera waits so long for it to open. */
export const TURN_WAIT_MS = 8 * SECOND_MS
/** Of the picture on the page. */
export const PREVIEW_WIDTH_PX = 960
/** Requests that wait for a picture: one page, and its second tab. */
export const MAX_LOOKERS = 2
/** For the checks, all of them together; less than a connection may be silent. */
export const CHECKS_MS = 25 * SECOND_MS

/**
 * Width of a plate from which it is read well, and below which a read is guesswork. As measured (README, Reading by width): the lower one is
 * also the rule of the field, that under 40 px one gets confident nonsense.
 */
export const PLATE_WIDTH_PX = { least: 40, good: 60 } as const
