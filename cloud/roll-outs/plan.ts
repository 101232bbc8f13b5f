/** Whose turn it is in a roll-out, and when it stops. Pure: called by roll-outs.ts. */
import { createHash } from 'node:crypto'
import { DAY_MS, HOUR_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { TargetState } from '../../shared/wire/index.ts'
import type { WebhookNotice } from '../webhooks/notices.ts'

/** Of the cameras, for which the stages go on by themselves: one in a hundred, one in ten, all. */
export const DEFAULT_STAGES: readonly number[] = [1, 10, 100]
export const MAX_STAGES = 10
/** Of the cameras whose turn it has been: so many may go wrong before it stops, rounded down; among the first twenty, none. */
export const FAILURE_SHARE = 0.05
/** A camera that has been told and has not ended its turn after so long is counted as one that went wrong. */
export const ANSWER_MS = 6 * HOUR_MS
/**
 * A roll-out that runs, in which no camera and no stage has moved for so long, is told of; the time for looking between stages is none of it,
 * nor is that before a person let it go on.
 */
export const STILL_MS = DAY_MS
/**
 * Before the turn of a camera that does not work by its settings is opened again: the first time in a row, the second, each further one. Each
 * opening is an entry in an audit that is kept for ever, and a hostile or broken camera may confirm them and deny them every minute.
 */
export const REOPEN_WAITS_MS: readonly number[] = [0, HOUR_MS, DAY_MS]
/** So long after the last opening the next one is a first one. */
export const REOPEN_FORGOTTEN_MS = 7 * DAY_MS
/** Told and not ended, at a time: each fetches a release over the agency's line. */
export const MAX_AT_ONCE = 25

export const ROLL_OUT_STATES = ['proposed', 'running', 'paused', 'halted', 'done', 'ended'] as const
export type RollOutState = (typeof ROLL_OUT_STATES)[number]
export type RollOutVerb = 'approve' | 'pause' | 'resume' | 'advance' | 'end'
/** States from which a person may do it. */
export const MAY_BE: Readonly<Record<RollOutVerb, readonly RollOutState[]>> = {
  approve: ['proposed'],
  pause: ['running'],
  resume: ['paused', 'halted'],
  advance: ['running', 'halted'],
  end: ['proposed', 'running', 'paused', 'halted'],
}

/** `waiting`: not told yet, or not answered; `silent`: see ANSWER_MS; `skipped`: no camera of the agency any more. */
export type TurnState = 'waiting' | TargetState | 'silent' | 'skipped'
const WRONG: ReadonlySet<TurnState> = new Set(['rolled_back', 'failed', 'refused', 'silent'])
export const OVER: ReadonlySet<TurnState> = new Set([...WRONG, 'confirmed', 'skipped'])

export interface Turn {
  camera: string
  /** From 0. */
  stage: number
  state: TurnState
  /** When it was first told; null: not yet. */
  toldAtMs: number | null
  changedAtMs: number
}

/** Throws `bad_input`. */
export function checkStages(stages: readonly number[]): void {
  const isRising = stages.every((percent, i) => percent > (stages[i - 1] ?? 0) && percent <= 100)
  if (!isRising || stages.at(-1) !== 100)
    throw new AppError('bad_input', 'stages must be percents that rise to 100, such as 1,10,100')
}

/**
 * `stages` in percent, rising, the last 100. Those of `first` are the first stage; the others come in an order that no name decides, those
 * that are there before those that are away: a stage of absent cameras would tell nothing, and the others would wait for it.
 */
export function stagesOf(
  cameras: readonly string[],
  stages: readonly number[],
  first: readonly string[],
  salt: string,
  isThere: (camera: string) => boolean,
): Map<string, number> {
  const lot = (camera: string) => createHash('sha256').update(`${salt}\n${camera}`).digest('hex')
  const others = cameras
    .filter((camera) => !first.includes(camera))
    .map((camera) => ({ camera, lot: `${isThere(camera) ? 0 : 1}${lot(camera)}` }))
    .sort((a, b) => (a.lot < b.lot ? -1 : 1))
  const order = [...first, ...others.map(({ camera }) => camera)]
  const staged = new Map<string, number>()
  for (const [stage, percent] of stages.entries()) {
    const least = stage === 0 ? Math.max(1, first.length) : 0
    const reach = Math.max(least, Math.ceil((order.length * percent) / 100))
    for (const camera of order.slice(0, reach)) if (!staged.has(camera)) staged.set(camera, stage)
  }
  return staged
}

/** Nobody was told yet, the first stage is away, and others are there: it is drawn anew, as when a second person was slow to approve it. */
export function isDrawnInVain(turns: readonly Turn[], isThere: (camera: string) => boolean): boolean {
  if (turns.some(({ toldAtMs }) => toldAtMs !== null)) return false
  const there = turns.filter(({ camera, state }) => state === 'waiting' && isThere(camera))
  return there.length > 0 && there.every(({ stage }) => stage > 0)
}

export type Verdict =
  | { kind: 'wait'; for: 'cameras' | 'soak' }
  | { kind: 'halt'; because: string }
  /** To the next stage. */
  | { kind: 'advance' }
  | { kind: 'done' }

export interface Standing {
  stage: number
  lastStage: number
  /** When the stage began. */
  sinceMs: number
  /** After the last camera was confirmed. */
  soakMs: number
  turns: readonly Turn[]
  /** Cameras that went wrong and that a person has said to go on in spite of. */
  forgiven: number
  /** When a person last let it go on after it was held up; null: never. */
  resumedMs: number | null
}

/** What a roll-out that runs does next. Cameras that are away hold up nothing: they get their turn when they are back. */
export function verdictOf(standing: Standing, isConnected: (camera: string) => boolean, nowMs: number): Verdict {
  const { stage, turns } = standing
  const now = turns.filter((turn) => turn.stage <= stage)
  const wrong = now.filter(({ state }) => WRONG.has(state))
  if (wrong.length - standing.forgiven > Math.floor(now.length * FAILURE_SHARE)) {
    const names = wrong.slice(0, 5).map(({ camera, state }) => `${camera} ${state}`)
    return { kind: 'halt', because: `${wrong.length} of ${now.length} went wrong: ${names.join(', ')}` }
  }
  const isLast = stage >= standing.lastStage
  const waits = { kind: 'wait', for: 'cameras' } as const
  if (isLast) return now.every(({ state }) => OVER.has(state)) ? { kind: 'done' } : waits
  const confirmed = now.filter(({ state }) => state === 'confirmed')
  const unfinished = now.filter(({ state }) => !OVER.has(state))
  if (confirmed.length === 0 && now.some(({ state }) => state !== 'skipped')) return waits
  if (unfinished.some(({ camera, toldAtMs }) => toldAtMs !== null || isConnected(camera))) return waits
  // A unit that went well and then fell silent did not go well.
  if (confirmed.some(({ camera }) => !isConnected(camera))) return waits
  const lastMs = Math.max(standing.sinceMs, ...confirmed.map(({ changedAtMs }) => changedAtMs))
  return nowMs - lastMs >= standing.soakMs ? { kind: 'advance' } : { kind: 'wait', for: 'soak' }
}

/** When it last moved, of one that waits for cameras and has stood still for too long; null: it has not. */
export function stillSince(
  { stage, turns, sinceMs, resumedMs }: Standing,
  verdict: Verdict,
  nowMs: number,
): number | null {
  if (verdict.kind !== 'wait' || verdict.for !== 'cameras') return null
  const now = turns.filter((turn) => turn.stage <= stage)
  const movesMs = now.map(({ changedAtMs, toldAtMs }) => Math.max(changedAtMs, toldAtMs ?? 0))
  const movedMs = Math.max(sinceMs, resumedMs ?? 0, ...movesMs)
  return nowMs - movedMs >= STILL_MS ? movedMs : null
}

/** Whom it waits for, for a person: some of them by name. */
export function waitsFor({ stage, turns }: Standing, isConnected: (camera: string) => boolean): string {
  const now = turns.filter((turn) => turn.stage <= stage)
  const awaited = now.filter(({ state, camera }) => !OVER.has(state) || (state === 'confirmed' && !isConnected(camera)))
  const names = awaited.slice(0, 5).map(({ camera, state }) => `${camera} ${isConnected(camera) ? state : 'away'}`)
  return `${awaited.length} of ${now.length}: ${names.join(', ')}`
}

/** Whom to tell now, of those whose turn it is: first those that have been told and have not answered. */
export function toTell(
  { stage, turns }: Pick<Standing, 'stage' | 'turns'>,
  isConnected: (camera: string) => boolean,
): string[] {
  const open = turns.filter((turn) => turn.stage <= stage && !OVER.has(turn.state))
  const told = open.filter(({ toldAtMs }) => toldAtMs !== null)
  const again = told.filter(({ state, camera }) => state === 'waiting' && isConnected(camera))
  const fresh = open.filter(({ toldAtMs, camera }) => toldAtMs === null && isConnected(camera))
  const room = Math.max(0, MAX_AT_ONCE - told.length)
  return [...again, ...fresh.slice(0, room)].map(({ camera }) => camera)
}

/** Of a turn. */
export interface Reopened {
  /** In a row. */
  times: number
  atMs: number
  /** For whom: fingerprint of the certificate that was in use. */
  unit: string
}

/** How this unit's turn stands once it is opened now; null: not yet. A unit in the place of another begins anew. */
export function reopenedNow(before: Reopened | null, unit: string, nowMs: number): Reopened | null {
  const first = { times: 1, atMs: nowMs, unit }
  if (before === null || before.unit !== unit) return first
  const sinceMs = nowMs - before.atMs
  if (sinceMs >= REOPEN_FORGOTTEN_MS) return first
  const waitMs = REOPEN_WAITS_MS[Math.min(before.times, REOPEN_WAITS_MS.length - 1)] ?? 0
  return sinceMs >= waitMs ? { ...first, times: before.times + 1 } : null
}

export const isOver = ({ state }: Pick<Turn, 'state'>): boolean => OVER.has(state)
export const wentWrong = ({ state }: Pick<Turn, 'state'>): boolean => WRONG.has(state)

/** Told so long ago that nothing is to be hoped for. */
export const isSilent = (turn: Turn, nowMs: number): boolean =>
  !isOver(turn) && turn.toldAtMs !== null && nowMs - turn.toldAtMs >= ANSWER_MS

/** What webhooks are told of a roll-out that halts now, or that has stood still for too long. */
export const noticeOf = (
  kind: 'roll_out_halted' | 'roll_out_still',
  rollOut: { number: number; kind: string; stage: number },
  because: string,
  nowMs: number,
): WebhookNotice => ({
  ...{ kind, noticeId: String(rollOut.number), revision: nowMs },
  document: { rollOut: { number: rollOut.number, kind: rollOut.kind, stage: rollOut.stage, because } },
})
