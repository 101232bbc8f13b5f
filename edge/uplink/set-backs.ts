/**
 * A row that makes the broker close the connection must not stop all others for ever. After CLOSES_BEFORE_SET_BACK closes with
 * the same row at the head it is set back: it stays in the outbox, behind everything else, and is tried again alone, ever more
 * rarely while it keeps failing. Nothing is thrown away: if the cloud was at fault, the row leaves as soon as it recovers.
 */
import { HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'

export const CLOSES_BEFORE_SET_BACK = 3
/** Between two tries of rows that were set back; doubles while they fail. Milliseconds. */
export const FIRST_RETRY_MS = MINUTE_MS
export const LONGEST_RETRY_MS = HOUR_MS
/** Other rows acknowledged after which a suspect that did not come up again is forgotten: it has left or was dropped. */
const FORGET_AFTER_ACKS = 50

export interface Head {
  rowId: number
  wasSetBack: boolean
}

export interface SetBacks {
  /** One row at a time, so that the next close is surely this row's. */
  readonly probing: boolean
  acked(row: Head): void
  /** The connection was closed by the other side with `head` the longest unacknowledged. True: set the row back. */
  closed(head: Head | null, nowMs: number): boolean
  /** May a row that was set back be tried now, alone? `othersWait`: rows that never failed are waiting. */
  maySend(nowMs: number, othersWait: boolean): boolean
}

/** `nowMs` is monotonic. */
export function createSetBacks(): SetBacks {
  let suspect: { rowId: number; closes: number; otherAcks: number } | null = null
  let waitMs = 0
  let notBeforeMs = 0
  /** Something was acknowledged since the last close: the cloud works, so a failure is the row's own. */
  let proven = false

  return {
    get probing() {
      return suspect !== null
    },
    acked({ rowId, wasSetBack }) {
      proven = true
      if (wasSetBack) {
        waitMs = 0
        notBeforeMs = 0
      }
      if (suspect === null) return
      suspect.otherAcks += 1
      if (suspect.rowId === rowId || suspect.otherAcks >= FORGET_AFTER_ACKS) suspect = null
    },
    closed(head, nowMs) {
      proven = false
      if (head === null) return false
      if (head.wasSetBack) {
        waitMs = Math.min(LONGEST_RETRY_MS, Math.max(FIRST_RETRY_MS, waitMs * 2))
        notBeforeMs = nowMs + waitMs
        return true
      }
      const closes = suspect?.rowId === head.rowId ? suspect.closes + 1 : 1
      suspect = closes < CLOSES_BEFORE_SET_BACK ? { rowId: head.rowId, closes, otherAcks: 0 } : null
      return suspect === null
    },
    maySend: (nowMs, othersWait) => suspect === null && nowMs >= notBeforeMs && (proven || !othersWait),
  }
}
