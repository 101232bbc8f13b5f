/**
 * How alerts began and ended, counted without a plate, so that the figures outlive the alerts: misread rates by camera and list. An
 * outcome counts for the day on which its alert was raised, so that it is taken back where it was put. Owns table alert_outcomes.
 */
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import type { ListMatchKind } from '../../shared/match-order.ts'
import type { Alert, AlertOutcome } from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { AlertOutcomesTable } from '../database/schema.ts'

/** Days of one question. */
export const MAX_OUTCOME_DAYS = 366

/** What is counted of sightings: each raised an alert, joined one's trail, or was only counted with it. */
export type Arisen = 'raised' | 'grouped' | 'duplicate'

export interface OutcomeFigures {
  /** Camera or list. */
  name: string
  kind: ListMatchKind
  raised: number
  grouped: number
  duplicate: number
  closed: number
  outcomes: Partial<Record<AlertOutcome, number>>
  /** Of those closed; null: none. `low` and `high`: where the rate lies with 95 % certainty, wide where there were few. */
  misread: { rate: number; low: number; high: number } | null
}

export interface Outcomes {
  /** Days since 1970-01-01, both included. */
  figures(days: { from: number; to: number }): Promise<{ cameras: OutcomeFigures[]; lists: OutcomeFigures[] }>
}

export const utcDay = (atMs: number) => Math.floor(atMs / DAY_MS)

export function countSighting(
  build: Database['build'],
  found: { atMs: number; cameraId: string; list: string; kind: ListMatchKind; arisen: Arisen },
): Statement {
  return build
    .insertInto('alert_outcomes')
    .values({
      ...{ utc_day: utcDay(found.atMs), camera_id: found.cameraId, list: found.list },
      ...{ kind: found.kind, outcome: found.arisen, count: 1 },
    })
    .onConflict((conflict) =>
      conflict.columns(KEY).doUpdateSet((eb) => ({ count: eb('alert_outcomes.count', '+', eb.ref('excluded.count')) })),
    )
}
const KEY = ['utc_day', 'camera_id', 'list', 'kind', 'outcome'] as const

/** For the transaction of a step from one revision to the next, before that is stored: its outcome is counted, or taken off again. */
export function countOutcome(build: Database['build'], from: Alert, to: Alert): Statement[] {
  if (from.outcome === to.outcome) return []
  const change = (outcome: AlertOutcome | null, by: 1 | -1): Statement[] =>
    outcome === null
      ? []
      : [
          build
            .insertInto('alert_outcomes')
            .columns([...KEY, 'count'])
            .expression((eb) =>
              eb
                .selectFrom('alerts')
                .select([
                  eb.val(utcDay(from.raisedAtMs)).as('utc_day'),
                  'camera_id',
                  'list',
                  'raised_kind as kind',
                  eb.val(outcome).as('outcome'),
                  eb.val(by).as('count'),
                ])
                .where('alert_id', '=', from.alertId)
                .where('revision', '=', from.revision),
            )
            .onConflict((conflict) =>
              conflict
                .columns(KEY)
                .doUpdateSet((eb) => ({ count: eb('alert_outcomes.count', '+', eb.ref('excluded.count')) })),
            ),
        ]
  return [...change(from.outcome, -1), ...change(to.outcome, 1)]
}

export function createOutcomes({ database, clock }: { database: Database; clock: Clock }): Outcomes {
  const { build } = database

  return {
    async figures({ from, to }) {
      const cameras = new Map<string, OutcomeFigures>()
      const lists = new Map<string, OutcomeFigures>()
      for (let day = from; day <= to; day += 1) {
        const rows = await database.read(build.selectFrom('alert_outcomes').selectAll().where('utc_day', '=', day))
        for (const row of rows) {
          add(cameras, row.camera_id, row)
          add(lists, row.list, row)
        }
        // A year of a large agency is a million rows: others get their turn between two days.
        await clock.sleep(0)
      }
      return { cameras: inOrder(cameras), lists: inOrder(lists) }
    },
  }
}

function add(figures: Map<string, OutcomeFigures>, name: string, { kind, outcome, count }: AlertOutcomesTable): void {
  const key = `${name} ${kind}`
  const one = figures.get(key) ?? blank(name, kind === 'near' ? 'near' : 'exact')
  figures.set(key, one)
  if (outcome === 'raised' || outcome === 'grouped' || outcome === 'duplicate') one[outcome] += count
  else {
    const closed = outcome as AlertOutcome
    one.outcomes[closed] = (one.outcomes[closed] ?? 0) + count
    one.closed += count
  }
}

function inOrder(figures: ReadonlyMap<string, OutcomeFigures>): OutcomeFigures[] {
  return [...figures]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, one]) => ({ ...one, misread: wilson(one.outcomes.misread ?? 0, one.closed) }))
}

function blank(name: string, kind: 'exact' | 'near'): OutcomeFigures {
  return { name, kind, raised: 0, grouped: 0, duplicate: 0, closed: 0, outcomes: {}, misread: null }
}

/** Rate of `hits` in `of` with Wilson's score interval for 95 % [Wilson 1927, JASA 22:209]; null of none. */
export function wilson(hits: number, of: number): { rate: number; low: number; high: number } | null {
  if (of === 0) return null
  const z = 1.959964
  const rate = hits / of
  const middle = (rate + z ** 2 / (2 * of)) / (1 + z ** 2 / of)
  const half = (z / (1 + z ** 2 / of)) * Math.sqrt((rate * (1 - rate)) / of + z ** 2 / (4 * of ** 2))
  return { rate, low: Math.max(0, middle - half), high: Math.min(1, middle + half) }
}
