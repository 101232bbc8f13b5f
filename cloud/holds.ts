/**
 * Evidence holds: what a case needs is kept beyond its retention, exactly that and no longer than the hold. A hold names sightings (each
 * with its preview, final and picture) and alerts that were there when it was made; the purge that would delete them moves them aside
 * (holds/keeping.ts), where no search finds them. Owns tables holds, hold_… and held_…. Called by the API and retention.ts.
 */
import type { ExpressionBuilder } from 'kysely'
import type { Clock } from '../shared/clock.ts'
import { DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { NewId } from '../shared/ids.ts'
import type { Alert, Policy } from '../shared/wire/index.ts'
import type { Database } from './database/database.ts'
import type { Schema } from './database/schema.ts'
import type { HoldsTable } from './database/schema-holds.ts'
import { type Content, createContent, type HeldAlert, type HeldSighting } from './holds/content.ts'
import { purgeEnded } from './holds/purge.ts'
import { createSelecting, type HoldSelection, type Selected } from './holds/selecting.ts'
import type { PurgeStep } from './purge-receipt.ts'
import type { Sightings } from './sightings.ts'

/** In force at one time. */
export const MAX_HOLDS = 1_000
export const MAX_CASE_CHARACTERS = 64
/** Letters and digits that a legal basis must have; "case" is none. */
export const MIN_BASIS_CHARACTERS = 10
export const MAX_BASIS_CHARACTERS = 500

export interface Hold {
  holdId: string
  caseNumber: string
  /** Plates that the hold is about stand in it as digests. */
  basis: string
  madeAtMs: number
  madeBy: string
  untilMs: number
  extendedAtMs: number | null
  extendedBy: string | null
  /** What was asked for, its plate as a keyed digest. */
  selection: Record<string, unknown>
  sightings: number
  alerts: number
}

export interface HoldRequest {
  caseNumber: string
  basis: string
  untilMs: number
  selected: Selected
  by: string
}

export interface Holds extends Content {
  /** What would be held. Throws `not_found`, and `too_large` when it is more than a hold may name: nothing is held by halves. */
  select(selection: HoldSelection): Promise<Selected>
  /** Throws `bad_input` for a basis that says nothing or a time that policy does not allow, `too_large` when there are MAX_HOLDS. */
  add(request: HoldRequest): Promise<Hold>
  /** In force, newest first; of one case, or of all (null). */
  list(caseNumber: string | null): Promise<Hold[]>
  /** Throws `not_found` for one that is over: what it kept is not shown from that moment on. */
  get(holdId: string): Promise<Hold>
  /** Throws as `add` does for the time. */
  extend(holdId: string, untilMs: number, by: string): Promise<Hold>
  /** Ends it now. */
  release(holdId: string): Promise<Hold>
  /** Deletes at most `limit` rows of each kind that were kept for holds which are over, and those holds. */
  purge(nowMs: number, limit: number): Promise<PurgeStep>
}

export interface HoldsDeps {
  database: Database
  clock: Clock
  newId: NewId
  sightings: Pick<Sightings, 'visible'>
  /** The alert and those of its trail, for these groups. Throws `not_found`. */
  getAlert: (alertId: string, groups: readonly string[]) => Promise<{ alert: Alert }>
  plateDigest: (plate: string) => string
  policy: () => Pick<Policy, 'holds'>
}

export type { HeldAlert, HeldSighting, HoldSelection, Selected }

export function createHolds(deps: HoldsDeps): Holds {
  const { database, clock } = deps
  const { build } = database
  const select = createSelecting(deps)
  const content = createContent(database)
  const inForce = () => build.selectFrom('holds').where('until_ms', '>', clock.nowMs())

  function checkUntil(untilMs: number): void {
    const nowMs = clock.nowMs()
    const { maxDays } = deps.policy().holds
    if (untilMs <= nowMs) throw new AppError('bad_input', 'the hold would be over at once')
    if (untilMs > nowMs + maxDays * DAY_MS) {
      throw new AppError('bad_input', `by policy a hold lasts at most ${maxDays} days from now`, {
        hint: 'it can be extended before it ends',
      })
    }
  }

  /** Of holds in force, with what they name. */
  const counted = () =>
    inForce()
      .selectAll('holds')
      .select((eb) => [countOf(eb, 'hold_sightings').as('sightings'), countOf(eb, 'hold_alerts').as('alerts')])

  async function find(holdId: string): Promise<Hold> {
    const [row] = await database.read(counted().where('hold_id', '=', holdId))
    if (row === undefined) throw new AppError('not_found', 'there is no such hold, or it is over')
    return toHold(row)
  }

  const set = (holdId: string, change: Partial<HoldsTable>) =>
    database.writeBatch([build.updateTable('holds').set(change).where('hold_id', '=', holdId)])

  return {
    ...content,
    select,
    async add({ caseNumber, basis, untilMs, selected, by }) {
      checkUntil(untilMs)
      if (count(caseNumber) < 2) throw new AppError('bad_input', 'a case number is missing')
      if (count(basis) < MIN_BASIS_CHARACTERS) {
        throw new AppError('bad_input', 'the legal basis says too little', {
          hint: `name the order, request or section, in at least ${MIN_BASIS_CHARACTERS} letters`,
        })
      }
      const [held] = await database.read(inForce().select((eb) => eb.fn.countAll<number>().as('count')))
      if ((held?.count ?? 0) >= MAX_HOLDS) throw new AppError('too_large', `at most ${MAX_HOLDS} holds at one time`)
      const row: HoldsTable = {
        hold_id: deps.newId(),
        case_number: selected.withoutPlates(caseNumber.trim()),
        basis: selected.withoutPlates(basis.trim()),
        selection: JSON.stringify(selected.told),
        made_at_ms: clock.nowMs(),
        made_by: by,
        until_ms: untilMs,
        extended_at_ms: null,
        extended_by: null,
      }
      await database.writeBatch([
        build.insertInto('holds').values(row),
        ...inSteps(selected.sightings).map((step) =>
          build.insertInto('hold_sightings').values(
            step.map(({ cameraId, sightingId }) => ({
              ...{ hold_id: row.hold_id, camera_id: cameraId, sighting_id: sightingId },
            })),
          ),
        ),
        ...inSteps(selected.alertIds).map((step) =>
          build.insertInto('hold_alerts').values(step.map((alert_id) => ({ hold_id: row.hold_id, alert_id }))),
        ),
      ])
      return find(row.hold_id)
    },
    async list(caseNumber) {
      let query = counted().orderBy('made_at_ms', 'desc').limit(MAX_HOLDS)
      if (caseNumber !== null) query = query.where('case_number', '=', caseNumber)
      return (await database.read(query)).map(toHold)
    },
    get: find,
    async extend(holdId, untilMs, by) {
      await find(holdId)
      checkUntil(untilMs)
      await set(holdId, { until_ms: untilMs, extended_at_ms: clock.nowMs(), extended_by: by })
      return find(holdId)
    },
    async release(holdId) {
      const hold = await find(holdId)
      const untilMs = clock.nowMs()
      await set(holdId, { until_ms: untilMs })
      return { ...hold, untilMs }
    },
    purge: (nowMs, limit) => purgeEnded(database, nowMs, limit),
  }
}

/** Rows of one statement. */
const INSERTED_ROWS = 200

function inSteps<T>(rows: readonly T[]): T[][] {
  const steps: T[][] = []
  for (let from = 0; from < rows.length; from += INSERTED_ROWS) steps.push(rows.slice(from, from + INSERTED_ROWS))
  return steps
}

const countOf = (eb: ExpressionBuilder<Schema, 'holds'>, table: 'hold_sightings' | 'hold_alerts') =>
  eb
    .selectFrom(table)
    .select((of) => of.fn.countAll<number>().as('count'))
    .whereRef(`${table}.hold_id`, '=', 'holds.hold_id')

function toHold(row: HoldsTable & { sightings: number | null; alerts: number | null }): Hold {
  return {
    holdId: row.hold_id,
    caseNumber: row.case_number,
    basis: row.basis,
    madeAtMs: row.made_at_ms,
    madeBy: row.made_by,
    untilMs: row.until_ms,
    extendedAtMs: row.extended_at_ms,
    extendedBy: row.extended_by,
    selection: JSON.parse(row.selection) as Record<string, unknown>,
    sightings: row.sightings ?? 0,
    alerts: row.alerts ?? 0,
  }
}

const count = (text: string) => (text.match(/[\p{L}\p{N}]/gu) ?? []).length
