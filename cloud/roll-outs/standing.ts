/**
 * The settings that each camera is meant to work by, beside what it says of itself. A camera that works by none or by older ones is told
 * them once more: a unit in the place of another, one that has lost its data folder, one that was added when all others had them. Its
 * turn in that roll-out is open again, or a new one. Part of roll-outs.ts, once a minute.
 */
import { sql } from 'kysely'
import type { Clock } from '../../shared/clock.ts'
import type { NewId } from '../../shared/ids.ts'
import type { SettingsInForce } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import type { RollOutsTable } from '../database/schema-roll-outs.ts'
import { ANSWER_MS, isOver, MAX_STAGES, type RollOutState, type TurnState, toTell } from './plan.ts'
import { IS_OPEN, IS_STANDING, isToldLately, type StoredTurn, type Turns, toTurn } from './turns.ts'

/** As a camera last said, and when that came. */
export interface SaidSettings extends SettingsInForce {
  heardAtMs: number
}

export interface StandingDeps {
  database: Database
  turns: Turns
  said: () => ReadonlyMap<string, SaidSettings>
  isActive: () => ReadonlySet<string>
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
  /** From which roll-out on a turn said, before that one, that a camera has had what went to all; 1 where nothing had. */
  servedBefore(number: number): Promise<number>
  /** Cameras that are told such settings now: two at a time would get into each other's way. */
  busy(): Promise<Set<string>>
  upkeep(): Promise<void>
}

/** The condition of the partial index, word for word: only so is it used. */
const IS_OF_ALL = sql<boolean>`kind = 'settings' AND whole_from IS NOT NULL AND state = 'done'`
/** Roll-outs that nothing else takes further. */
const CLOSED: ReadonlySet<string> = new Set<RollOutState>(['done', 'ended'])
/** From these a turn is opened again. Another end was the unit's own word, and a person has to look. */
const REOPENED: ReadonlySet<TurnState> = new Set(['confirmed', 'silent', 'skipped'])
/** Ends that the unit itself has said. */
const ANSWERED: readonly TurnState[] = ['confirmed', 'rolled_back', 'failed', 'refused']
/** Ends of turns that did not bring it to the unit. */
const GIVEN_UP: readonly TurnState[] = ['silent', 'skipped']

interface StandingTurn {
  turn: StoredTurn
  rollOut: RollOutsTable
}

export function createStanding(deps: StandingDeps): Standing {
  const { database, turns, clock, isConnected } = deps
  const { build } = database

  async function standing(): Promise<Map<string, StandingTurn>> {
    const rows = await database.read(build.selectFrom('roll_out_turns').selectAll().where(IS_STANDING))
    const numbers = [...new Set(rows.map(({ number }) => number))]
    const rollOuts = new Map<number, RollOutsTable>()
    for (const number of numbers) {
      const [row] = await database.read(build.selectFrom('roll_outs').selectAll().where('number', '=', number))
      if (row !== undefined) rollOuts.set(number, row)
    }
    return new Map(
      rows.flatMap((row) => {
        const rollOut = rollOuts.get(row.number)
        return rollOut === undefined ? [] : [[row.camera_id, { turn: toTurn(row), rollOut }] as const]
      }),
    )
  }

  const newestOfAll = build.selectFrom('roll_outs').selectAll().where(IS_OF_ALL).orderBy('number', 'desc').limit(1)

  /**
   * The newest settings that went to all cameras, and the cameras that have had their turn of them or of newer ones. Settings that were taken
   * back leave all as it was before them: then older turns count as well.
   */
  async function ofAll(): Promise<{ rollOut: RollOutsTable; served: Set<string> } | null> {
    const [rollOut] = await database.read(newestOfAll)
    if (rollOut === undefined) return null
    const rows = await database.read(
      build
        .selectFrom('roll_out_turns as turn')
        .innerJoin('roll_outs', 'roll_outs.number', 'turn.number')
        .select('turn.camera_id')
        .distinct()
        .where('turn.number', '>=', rollOut.whole_from ?? rollOut.number)
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
        ),
    )
    return { rollOut, served: new Set(rows.map((row) => row.camera_id)) }
  }

  /** Cameras that try settings of a roll-out that is open. */
  async function trying(): Promise<Set<string>> {
    const rows = await database.read(
      build.selectFrom('roll_outs').select('number').where('kind', '=', 'settings').where(IS_OPEN),
    )
    const all = await Promise.all(rows.map(({ number }) => turns.of(number)))
    const tried = all.flat().filter((turn) => turn.toldAtMs !== null && !isOver(turn))
    return new Set(tried.map(({ camera }) => camera))
  }

  const openTurns = (found: Iterable<StandingTurn>) =>
    [...found].filter(({ turn, rollOut }) => CLOSED.has(rollOut.state) && !isOver(turn))

  /** A turn that is to come: of another id, so that an answer of before does not end it. */
  const fresh = () => ({
    ...{ target_id: deps.newId(), state: 'waiting', message: null, token: deps.newSecret(24), told_at_ms: null },
    ...{ told_again_ms: null, changed_at_ms: clock.nowMs(), standing: 1 },
  })

  async function open(rollOut: RollOutsTable, camera: string, says: SaidSettings): Promise<void> {
    const { number } = rollOut
    const ofCamera = build.updateTable('roll_out_turns').where('camera_id', '=', camera)
    const [there] = (await turns.of(number)).filter((turn) => turn.camera === camera)
    const stage = (JSON.parse(rollOut.stages) as number[]).length - 1
    await database.writeBatch([
      ofCamera.set({ standing: 0 }).where(IS_STANDING),
      ...(there === undefined
        ? turns.insert([{ ...fresh(), number, camera_id: camera, stage }])
        : [ofCamera.set(fresh()).where('number', '=', number)]),
    ])
    await deps.note('roll_out.reopened', number, { camera, worksBy: says.version })
  }

  return {
    async meant() {
      return new Map([...(await standing())].map(([camera, { rollOut }]) => [camera, rollOut.number]))
    },

    async servedBefore(number) {
      const [before] = await database.read(newestOfAll.where('number', '<', number))
      return before?.whole_from ?? 1
    },

    async busy() {
      const open = openTurns((await standing()).values())
      return new Set(open.filter(({ turn }) => turn.toldAtMs !== null).map(({ turn }) => turn.camera))
    },

    async upkeep() {
      const active = deps.isActive()
      const said = deps.said()
      const [stands, all, tried] = [await standing(), await ofAll(), await trying()]
      for (const camera of active) {
        const says = said.get(camera)
        if (says === undefined || says.trial || !isConnected(camera) || tried.has(camera)) continue
        const own = stands.get(camera)
        const isLater = all !== null && all.rollOut.number > (own?.rollOut.number ?? 0) && !all.served.has(camera)
        const wanted = isLater ? all.rollOut : own?.rollOut
        if (wanted === undefined || says.version >= wanted.number) continue
        // What it said before its turn ended tells nothing of how that ended.
        const mayOpen = isLater || (own !== undefined && REOPENED.has(own.turn.state))
        if (mayOpen && says.heardAtMs > (own?.turn.changedAtMs ?? 0)) await open(wanted, camera, says)
      }
      let list = openTurns((await standing()).values())
      const ended = await turns.endLost(
        list.map(({ turn }) => turn),
        active,
      )
      if (ended) list = openTurns((await standing()).values())
      const wanted = new Set(toTell({ stage: MAX_STAGES, turns: list.map(({ turn }) => turn) }, isConnected))
      const nowMs = clock.nowMs()
      for (const { turn, rollOut } of list) {
        if (wanted.has(turn.camera) && !tried.has(turn.camera) && !isToldLately(turn, nowMs))
          await turns.tell(rollOut, turn)
      }
    },
  }
}
