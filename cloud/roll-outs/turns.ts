/** The cameras' turns in a roll-out: read, told by signed commands, ended. Part of roll-outs.ts, which owns table roll_out_turns. */
import { sql } from 'kysely'
import type { Clock } from '../../shared/clock.ts'
import { DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { Signer } from '../../shared/signing.ts'
import { CONFIGURE, topics, UPDATE } from '../../shared/topics.ts'
import {
  type ConfigureCommand,
  cameraSettingsSchema,
  type RollOutAck,
  type UpdateCommand,
} from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { RollOutsTable, RollOutTurnsTable } from '../database/schema-roll-outs.ts'
import { isOver, isSilent, type Reopened, type Turn, type TurnState } from './plan.ts'
import type { Releases } from './releases.ts'

/** Of one roll-out: twenty times the largest city that publishes its figures. */
export const MAX_TURNS = 2_000
/** Rows in one statement. */
const INSERT_ROWS = 100
/** A command that comes later is left by the unit; who is away for longer is told anew. */
export const COMMAND_MS = DAY_MS

/** Said again to who has not answered, no sooner. */
export const TELL_AGAIN_MS = 5 * MINUTE_MS

/** The conditions of partial indexes, word for word: only so are they used. */
export const IS_OPEN = sql<boolean>`state IN ('proposed', 'running', 'paused', 'halted')`
export const IS_STANDING = sql<boolean>`standing = 1`

export interface RollOutTurn extends Turn {
  message: string | null
}
export interface StoredTurn extends RollOutTurn {
  number: number
  targetId: string
  token: string
  toldAgainMs: number | null
  /** It brings, or has brought, what the camera is meant to work by. */
  standing: boolean
  /** null: never. */
  reopened: Reopened | null
}

export const isToldLately = ({ toldAgainMs }: StoredTurn, nowMs: number) =>
  toldAgainMs !== null && nowMs - toldAgainMs < TELL_AGAIN_MS

export interface Turns {
  /** Statements that store them. */
  insert(rows: readonly RollOutTurnsTable[]): Statement[]
  of(number: number): Promise<StoredTurn[]>
  /** null: the camera has none in that roll-out. */
  ofCamera(number: number, camera: string): Promise<StoredTurn | null>
  /** Of what the camera is meant to work by; null: nothing. */
  standing(camera: string): Promise<StoredTurn | null>
  /** Gives them these stages. */
  stage(turns: readonly StoredTurn[], staged: ReadonlyMap<string, number>): Promise<void>
  /** null: there is none of this id. */
  byTarget(targetId: string): Promise<StoredTurn | null>
  /** Sends the command of its turn to a camera. */
  tell(rollOut: RollOutsTable, turn: StoredTurn): Promise<void>
  /** Ends turns of cameras that are no more, and of those that never answered. Resolves with whether there were any. */
  endLost(turns: readonly StoredTurn[], active: ReadonlySet<string>): Promise<boolean>
  /** The settings that the camera had before that roll-out, as JSON; null: its own alone. */
  settingsBefore(camera: string, number: number): Promise<string | null>
  /** What the camera had confirmed before that turn stands for it again; a turn without an end is given up. */
  fallBack(turn: StoredTurn): Promise<void>
  /** `standing`: from now on the camera is meant to have it. */
  record(turn: StoredTurn, ack: RollOutAck, standing: boolean): Promise<void>
}

export interface TurnsDeps {
  database: Database
  agency: string
  releases: Releases
  signer: Signer
  httpsPort: () => number
  publish: (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>
  clock: Clock
}

export const toTurn = (row: RollOutTurnsTable): StoredTurn => ({
  ...{ camera: row.camera_id, stage: row.stage, state: row.state as TurnState, message: row.message },
  ...{ toldAtMs: row.told_at_ms, changedAtMs: row.changed_at_ms },
  ...{ number: row.number, targetId: row.target_id, token: row.token, toldAgainMs: row.told_again_ms },
  standing: row.standing === 1,
  reopened:
    row.reopened_at_ms === null || row.reopened_for === null
      ? null
      : { times: row.reopened, atMs: row.reopened_at_ms, unit: row.reopened_for },
})

export function createTurns(deps: TurnsDeps): Turns {
  const { database, agency, releases, clock } = deps
  const { build } = database
  const set = (targetId: string, change: Partial<RollOutTurnsTable>): Statement =>
    build.updateTable('roll_out_turns').set(change).where('target_id', '=', targetId)
  const ofCamera = (camera: string) => build.selectFrom('roll_out_turns').selectAll().where('camera_id', '=', camera)
  async function one(query: Statement<RollOutTurnsTable>): Promise<StoredTurn | null> {
    const [row] = await database.read(query)
    return row === undefined ? null : toTurn(row)
  }
  async function confirmedBefore(camera: string, number: number) {
    const [one] = await database.read(
      build
        .selectFrom('roll_out_turns')
        .innerJoin('roll_outs', 'roll_outs.number', 'roll_out_turns.number')
        .select(['roll_outs.settings', 'roll_out_turns.target_id'])
        .where('roll_out_turns.camera_id', '=', camera)
        .where('roll_out_turns.number', '<', number)
        .where('roll_out_turns.state', '=', 'confirmed')
        .where('roll_outs.kind', '=', 'settings')
        .orderBy('roll_out_turns.number', 'desc')
        .limit(1),
    )
    return one ?? null
  }

  return {
    insert: (rows) =>
      Array.from({ length: Math.ceil(rows.length / INSERT_ROWS) }, (_, i) =>
        build.insertInto('roll_out_turns').values(rows.slice(i * INSERT_ROWS, (i + 1) * INSERT_ROWS)),
      ),

    async of(number) {
      const rows = await database.read(
        build.selectFrom('roll_out_turns').selectAll().where('number', '=', number).limit(MAX_TURNS),
      )
      return rows.map(toTurn)
    },

    ofCamera: (number, camera) => one(ofCamera(camera).where('number', '=', number)),
    standing: (camera) => one(ofCamera(camera).where(IS_STANDING)),

    async stage(turns, staged) {
      const changes = turns.flatMap(({ targetId, camera, stage }) => {
        const to = staged.get(camera) ?? stage
        return to === stage ? [] : [set(targetId, { stage: to })]
      })
      if (changes.length > 0) await database.writeBatch(changes)
    },

    byTarget: (targetId) => one(build.selectFrom('roll_out_turns').selectAll().where('target_id', '=', targetId)),

    async tell(rollOut, turn) {
      const nowMs = clock.nowMs()
      // Written down first: who was told and is never heard of again must count.
      await database.writeBatch([set(turn.targetId, { told_at_ms: turn.toldAtMs ?? nowMs, told_again_ms: nowMs })])
      const to = {
        ...{ agency, cameraId: turn.camera, targetId: turn.targetId },
        ...{ issuedAtMs: nowMs, expiresAtMs: nowMs + COMMAND_MS },
      }
      let command: UpdateCommand | ConfigureCommand
      if (rollOut.sha256 === null) {
        const settings = cameraSettingsSchema.parse(JSON.parse(rollOut.settings ?? '{}'))
        // A turn that stands before it is confirmed comes after its roll-out: a technician may have been at the camera since.
        command = { ...to, version: rollOut.number, settings, ...(turn.standing ? { keepSetHere: true } : {}) }
      } else {
        const { version, compatible, sha256, bytes } = await releases.get(rollOut.sha256)
        const fetch = { port: deps.httpsPort(), path: `/api/v1/releases/${sha256}/bundle`, token: turn.token }
        command = { ...to, release: { version, compatible, sha256, bytes }, fetch }
      }
      const envelope = deps.signer.seal(Buffer.from(JSON.stringify(command)))
      const topic = topics.command(agency, turn.camera, rollOut.kind === 'image' ? UPDATE : CONFIGURE, turn.targetId)
      await deps.publish(topic, Buffer.from(JSON.stringify(envelope)), { qos: 0, retain: false })
    },

    async endLost(turns, active) {
      const nowMs = clock.nowMs()
      const ending = turns.flatMap((turn) => {
        if (isOver(turn)) return []
        const state = active.has(turn.camera) ? (isSilent(turn, nowMs) ? 'silent' : null) : 'skipped'
        return state === null ? [] : [set(turn.targetId, { state, changed_at_ms: nowMs })]
      })
      if (ending.length > 0) await database.writeBatch(ending)
      return ending.length > 0
    },

    settingsBefore: async (camera, number) => (await confirmedBefore(camera, number))?.settings ?? null,

    async fallBack(turn) {
      const before = await confirmedBefore(turn.camera, turn.number)
      const givenUp: Partial<RollOutTurnsTable> = isOver(turn) ? {} : { state: 'silent', changed_at_ms: clock.nowMs() }
      await database.writeBatch([
        set(turn.targetId, { standing: 0, ...givenUp }),
        ...(before === null ? [] : [set(before.target_id, { standing: 1 })]),
      ])
    },

    async record(turn, { state, message }, standing) {
      const change = { state, message, changed_at_ms: clock.nowMs() }
      const newest = await one(ofCamera(turn.camera).where(IS_STANDING))
      // One that was given up and answers after all may be older than what stands.
      if (!standing || (newest?.number ?? 0) > turn.number) {
        await database.writeBatch([set(turn.targetId, change)])
        return
      }
      const before = build.updateTable('roll_out_turns').set({ standing: 0 }).where('camera_id', '=', turn.camera)
      await database.writeBatch([before.where(IS_STANDING), set(turn.targetId, { ...change, standing: 1 })])
    },
  }
}
