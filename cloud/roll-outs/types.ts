/** A roll-out as it is asked for and as it is shown. For roll-outs.ts, the API and the other files of this folder. */
import type { CameraSettings, RollOutKind } from '../../shared/wire/index.ts'
import type { RollOutState, TurnState } from './plan.ts'

export interface RollOut {
  number: number
  kind: RollOutKind
  sha256: string | null
  settings: CameraSettings | null
  /** Percent of the cameras, rising. */
  stages: number[]
  soakMs: number
  state: RollOutState
  /** From 0. */
  stage: number
  /** Why it was halted; null: it was not. */
  because: string | null
  /** Since when nothing has moved in it, where that is for too long; null: it moves, or does not run. */
  stillSinceMs: number | null
  reason: string
  madeAtMs: number
  madeBy: string
  approvedBy: string | null
  endedAtMs: number | null
  /** Cameras by state of their turn. */
  counts: Partial<Record<TurnState, number>>
}

export interface NewRollOut {
  what: { kind: 'image'; sha256: string } | { kind: 'settings'; settings: CameraSettings }
  /** Empty: all that are registered. */
  cameras: readonly string[]
  /** Whose turn it is first. */
  first: readonly string[]
  stages?: readonly number[] | undefined
  soakMinutes?: number | undefined
  reason: string
}
