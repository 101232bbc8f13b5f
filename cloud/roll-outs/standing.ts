/**
 * The settings that each camera is meant to work by, beside what it says of itself. A camera that works by none or by older ones is told
 * them once more: a unit in the place of another, one that has lost its data folder, one that was added when all others had them. Its
 * turn in that roll-out is open again, or a new one; at once, and later and later where the same unit does not keep them. Part of
 * roll-outs.ts, once a minute.
 */
import { sql } from 'kysely'
import type { Clock } from '../../shared/clock.ts'
import type { NewId } from '../../shared/ids.ts'
import type { SettingsInForce } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import type { RollOutsTable } from '../database/schema-roll-outs.ts'
import {
  ANSWER_MS,
  isOver,
  MAX_STAGES,
  OVER,
  type Reopened,
  type RollOutState,
  reopenedNow,
  type TurnState,
  toTell,
} from './plan.ts'
import { IS_OPEN, IS_STANDING, isToldLately, type StoredTurn, type Turns, toTurn } from './turns.ts'

/** As a camera last said, and when that came. */
export interface SaidSettings extends SettingsInForce {
  heardAtMs: number
}

export interface StandingDeps {
  database: Database
  turns: Turns
  said: () => ReadonlyMap<string, SaidSettings>
  /** Cameras that are not revoked, with the fingerprint of the certificate in use. */
  units: () => ReadonlyMap<string, string>
  isConnected: (camera: string) => boolean
  /** Into the audit. */
  note: (operation: string, number: number, detail: Record<string, string | number | null>) => Promise<unknown>
  clock: Clock
  newId: NewId
  newSecret: (byteCount: number) => string
}

export interface Standing {
  /** By camera: the roll-out whose settings it is meant to work by. */
  meant(): Promise<Map<string, number>>
  /** What had gone to all before that one; null: nothing. */
  ofAllBefore(number: number): Promise<OfAll | null>
  /** Cameras that are told such settings now: two at a time would get into each other's way. */
  busy(): Promise<Set<string>>
  upkeep(): Promise<void>
}

/** The condition of the partial index, word for word: only so is it used. */
const IS_OF_ALL = sql<boolean>`kind = 'settings' AND whole_from IS NOT NULL AND state = 'done'`
/** Roll-outs that nothing else takes further. */
const CLOSED: ReadonlySet<string> = new Set<RollOutState>(['done', 'ended'])
/** From these a turn is opened again. Another end was the unit's own word, and a person has to look. */
export const REOPENED: ReadonlySet<TurnState> = new Set(['confirmed', 'silent', 'skipped'])
/** Ends that the unit itself has said. */
const ANSWERED: readonly TurnState[] = ['confirmed', 'rolled_back', 'failed', 'refused']
/** Ends of turns that did not bring it to the unit. */
const GIVEN_UP: readonly TurnState[] = ['silent', 'skipped']

/** Cameras that are asked about before other work has its turn. */
const CAMERAS_PER_TURN = 20

interface StandingTurn {
  turn: StoredTurn
  rollOut: RollOutsTable
}

/** The newest settings that went to all cameras. */
export interface OfAll {
  number: number
  /** A turn of it or of a later one counts: settings that were taken back leave all as it was before them, and so older turns count as well. */
  fromNumber: number
  /** JSON. */
  settings: string | null
}

/** As the roll-outs stand when cameras are looked at. */
interface Looked {
  /** Cameras that are left to a roll-out that is open. */
  tried: ReadonlySet<string>
  /** Roll-outs that are taken back. */
  taken: ReadonlySet<number>
  ofAll: OfAll | null
}

export function createStanding(deps: StandingDeps): Standing {
  const { database, turns, clock, isConnected } = deps
  const { build } = database

  async function rollOutOf(number: number): Promise<RollOutsTable | undefined> {
    const [row] = await database.read(build.selectFrom('roll_outs').selectAll().where('number', '=', number))
    return row
  }

  /** By camera: the number of what stands for it. */
  async function meant(): Promise<Map<string, number>> {
    const rows = await database.read(
      build.selectFrom('roll_out_turns').select(['camera_id', 'number']).where(IS_STANDING),
    )
    return new Map(rows.map((row) => [row.camera_id, row.number]))
  }

  /** What stands and is still to be brought to its camera, of roll-outs that are over. */
  async function openTurns(): Promise<StandingTurn[]> {
    const rows = await database.read(
      build
        .selectFrom('roll_out_turns')
        .selectAll()
        .where(IS_STANDING)
        .where('state', 'not in', [...OVER]),
    )
    const rollOuts = new Map<number, RollOutsTable | undefined>()
    for (const number of new Set(rows.map((row) => row.number))) rollOuts.set(number, await rollOutOf(number))
    return rows.flatMap((row) => {
      const rollOut = rollOuts.get(row.number)
      return rollOut !== undefined && CLOSED.has(rollOut.state) ? [{ turn: toTurn(row), rollOut }] : []
    })
  }

  // One that a person ended before it told anybody takes nothing back (roll-outs.ts), nor does one that waits for a second person.
  async function newestOfAll(before: number): Promise<OfAll | null> {
    const [row] = await database.read(
      build
        .selectFrom('roll_outs')
        .selectAll()
        .where(IS_OF_ALL)
        .where('number', '<', before)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('roll_outs as back')
                .select('back.number')
                .whereRef('back.takes_back', '=', 'roll_outs.number')
                .where('back.number', '<', before)
                .where('back.state', '<>', 'proposed'),
            ),
          ),
        )
        .orderBy('number', 'desc')
        .limit(1),
    )
    if (row === undefined) return null
    return { number: row.number, fromNumber: row.whole_from ?? row.number, settings: row.settings }
  }

  /** Has the camera had its turn of settings of this roll-out or of a newer one? */
  async function hasHadTurn(camera: string, number: number): Promise<boolean> {
    const found = await database.read(
      build
        .selectFrom('roll_out_turns as turn')
        .innerJoin('roll_outs', 'roll_outs.number', 'turn.number')
        .select('turn.number')
        .where('turn.camera_id', '=', camera)
        .where('turn.number', '>=', number)
        .where('roll_outs.kind', '=', 'settings')
        .where(({ eb, or, and }) =>
          or([
            eb('turn.state', 'in', [...ANSWERED]),
            // What stands for a camera is told to it again.
            eb('turn.standing', '=', 1),
            // Of a roll-out that is over nobody is told any more; who was told may still answer.
            and([
              eb('turn.state', 'not in', [...GIVEN_UP]),
              or([eb('roll_outs.state', 'not in', [...CLOSED]), eb('turn.told_at_ms', '>', clock.nowMs() - ANSWER_MS)]),
            ]),
          ]),
        )
        .limit(1),
    )
    return found.length > 0
  }

  /** Cameras that try settings, or that are to give some back: the one roll-out that is open. */
  async function inOpenRollOuts(): Promise<Set<string>> {
    const rows = await database.read(
      build.selectFrom('roll_outs').selectAll().where('kind', '=', 'settings').where(IS_OPEN),
    )
    const found = new Set<string>()
    for (const { number, state, takes_back } of rows) {
      const takesBack = takes_back !== null && state !== 'proposed'
      for (const turn of await turns.of(number))
        if (!isOver(turn) && (takesBack || turn.toldAtMs !== null)) found.add(turn.camera)
    }
    return found
  }

  /** Also by one that a person ended half-way; not by one that waits for a second person. */
  async function takenBack(): Promise<Set<number>> {
    const rows = await database.read(
      build
        .selectFrom('roll_outs')
        .select('takes_back')
        .where('takes_back', 'is not', null)
        .where('state', '<>', 'proposed'),
    )
    return new Set(rows.flatMap(({ takes_back }) => (takes_back === null ? [] : [takes_back])))
  }

  /** A turn that is to come: of another id, so that an answer of before does not end it. */
  const fresh = () => ({
    ...{ target_id: deps.newId(), state: 'waiting', message: null, token: deps.newSecret(24), told_at_ms: null },
    ...{ told_again_ms: null, changed_at_ms: clock.nowMs(), standing: 1 },
  })
  const wasReopened = (now: Reopened | null) => ({
    ...{ reopened: now?.times ?? 0, reopened_at_ms: now?.atMs ?? null, reopened_for: now?.unit ?? null },
  })

  /** Opens the camera's turn in that roll-out, unless this unit's was opened lately. */
  async function reopen(number: number, camera: string, unit: string, worksBy: number): Promise<void> {
    const there = await turns.ofCamera(number, camera)
    const now = there === null ? null : reopenedNow(there.reopened, unit, clock.nowMs())
    const rollOut = await rollOutOf(number)
    if (rollOut === undefined || (there !== null && now === null)) return
    const stage = (JSON.parse(rollOut.stages) as number[]).length - 1
    const ofCamera = build.updateTable('roll_out_turns').where('camera_id', '=', camera)
    await database.writeBatch([
      ofCamera.set({ standing: 0 }).where(IS_STANDING),
      ...(there === null
        ? turns.insert([{ ...fresh(), ...wasReopened(null), number, camera_id: camera, stage }])
        : [ofCamera.set({ ...fresh(), ...wasReopened(now) }).where('number', '=', number)]),
    ])
    await deps.note('roll_out.reopened', number, { camera, worksBy, times: now?.times ?? 0 })
  }

  /** Is what went to all owed to a camera that says this, and for which `own` stands? By numbers alone: it may have had its turn. */
  const mayBeOwed = (ofAll: OfAll | null, says: SaidSettings, own: number | undefined): ofAll is OfAll =>
    ofAll !== null && says.version < ofAll.number && (own ?? 0) < ofAll.fromNumber

  async function lookAt(camera: string, unit: string, says: SaidSettings, { taken, ofAll }: Looked): Promise<void> {
    // Read now: an answer may have come while others were looked at.
    let own = await turns.standing(camera)
    // What it said before its turn ended tells nothing of how that ended.
    if (says.heardAtMs <= (own?.changedAtMs ?? 0)) return
    if (own !== null && says.version < own.number && taken.has(own.number)) {
      await turns.fallBack(own)
      own = await turns.standing(camera)
    }
    const isOwed = mayBeOwed(ofAll, says, own?.number) && !(await hasHadTurn(camera, ofAll.fromNumber))
    const wanted = isOwed ? ofAll.number : own !== null && REOPENED.has(own.state) ? own.number : null
    if (wanted !== null && says.version < wanted) await reopen(wanted, camera, unit, says.version)
  }

  /** Opens the turns of cameras that do not work by what they are meant to. */
  async function reopenTurns(units: ReadonlyMap<string, string>, looked: Looked): Promise<void> {
    const { tried, ofAll } = looked
    const said = deps.said()
    const stands = await meant()
    let count = 0
    for (const [camera, unit] of units) {
      const says = said.get(camera)
      if (says === undefined || says.trial || !isConnected(camera) || tried.has(camera)) continue
      const own = stands.get(camera)
      if (says.version >= (own ?? 0) && !mayBeOwed(ofAll, says, own)) continue
      if (++count % CAMERAS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      await lookAt(camera, unit, says, looked)
    }
  }

  return {
    meant,

    ofAllBefore: newestOfAll,

    async busy() {
      return new Set((await openTurns()).filter(({ turn }) => turn.toldAtMs !== null).map(({ turn }) => turn.camera))
    },

    async upkeep() {
      const units = deps.units()
      const [tried, taken] = [await inOpenRollOuts(), await takenBack()]
      await reopenTurns(units, { tried, taken, ofAll: await newestOfAll(Number.MAX_SAFE_INTEGER) })
      let list = await openTurns()
      const ended = await turns.endLost(
        list.map(({ turn }) => turn),
        new Set(units.keys()),
      )
      if (ended) list = await openTurns()
      const wanted = new Set(toTell({ stage: MAX_STAGES, turns: list.map(({ turn }) => turn) }, isConnected))
      const nowMs = clock.nowMs()
      for (const { turn, rollOut } of list) {
        // What is taken back goes to nobody any more, but to who was told of it before: that answers, and then gives it back.
        const mayBe =
          taken.has(turn.number) === tried.has(turn.camera) && (turn.toldAtMs !== null || !tried.has(turn.camera))
        if (wanted.has(turn.camera) && mayBe && !isToldLately(turn, nowMs)) await turns.tell(rollOut, turn)
      }
    },
  }
}
