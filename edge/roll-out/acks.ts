/** What updates and settings have in common: acknowledgements, and whether a command is for this camera. */
import type { Clock } from '../../shared/clock.ts'
import { EARLIEST_TIME_MS, MAX_ROLL_OUT_MESSAGE, type RollOutAck, type TargetState } from '../../shared/wire/index.ts'

export function ackOf(
  targetId: string,
  state: TargetState,
  message: string | null,
  clock: Pick<Clock, 'nowMs'>,
): RollOutAck {
  const atMs = Math.max(EARLIEST_TIME_MS, clock.nowMs())
  return { targetId, state, message: message?.slice(0, MAX_ROLL_OUT_MESSAGE) ?? null, atMs }
}

export interface Addressee {
  agency: string
  cameraId: string
  clockState: { readonly state: 'synced' | 'unsynced' }
}

/** Why a signed command is not for this camera, or not now; null: it is. A clock that is not to be trusted says nothing of its end. */
export function addresseeProblem(
  command: { agency: string; cameraId: string; targetId: string; expiresAtMs: number },
  targetId: string,
  { agency, cameraId, clockState }: Addressee,
  clock: Pick<Clock, 'nowMs'>,
): string | null {
  if (command.agency !== agency || command.cameraId !== cameraId) return 'for another camera'
  if (command.targetId !== targetId) return 'of another turn than its topic says'
  if (clockState.state === 'synced' && clock.nowMs() >= command.expiresAtMs) return 'too late'
  return null
}
