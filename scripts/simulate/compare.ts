/** Each figure of a published report beside what was counted by who did it; a figure without a count of its own is a difference too. */
import { wilson } from '../../cloud/alerts/outcomes.ts'
import type { Report, TableShown, Value } from '../../cloud/transparency/document.ts'
import { inWords } from '../../cloud/transparency/document.ts'
import type { Tally } from './tally.ts'

export interface Line {
  figure: string
  published: string
  counted: string
  agrees: boolean
}

/** What no count of the simulation can tell: read from the log itself, by another way than the report's. */
export interface FromLog {
  entries: number
  receipts: number
}

export function compare(report: Report, tally: Tally, purgedBeforeMs: number, fromLog: FromLog): Line[] {
  const lines: Line[] = []
  const bound = report.smallCount
  const figures = report.sections.flatMap((section) => section.figures)
  const tables = report.sections.flatMap((section) => section.tables)

  const line = (figure: string, published: string, counted: string, agrees: boolean) =>
    lines.push({ figure, published, counted, agrees })
  const matches = (value: Value, count: number, mayWithhold: boolean) => {
    if ('count' in value) return value.count === count && !(count > 0 && count < bound && mayWithhold)
    if ('fewerThan' in value) return count > 0 && count < value.fewerThan && value.fewerThan === bound
    return 'withheld' in value && mayWithhold
  }

  const registered = [...tally.registeredMs.counts].filter(([, ms]) => ms > 0)
  const share = tally.onlineMs.total / tally.registeredMs.total
  const closed = tally.closed.total
  const misreadShown = !isSmall(tally.misread.total, bound)
  const rate = wilson(tally.misread.total, closed)
  const expected: Record<string, number | Value | null> = {
    cameras: registered.length - 1,
    vehicles: tally.vehicles,
    'vehicles-kept-back': 0,
    'vehicles-lost': tally.lost,
    hits: tally.hits.total,
    'hit-share': { rate: tally.hits.total / tally.vehicles },
    searches: tally.searches.total,
    'searches-refused': tally.refused.total,
    alerts: tally.alerts.total,
    'alerts-closed': closed,
    'misread-rate': misreadShown && rate !== null ? rate : null,
    'up-time': { rate: share },
    purges: fromLog.receipts,
    'purged-sightings': tally.revisions.filter((atMs) => atMs <= purgedBeforeMs).length,
    'purged-pictures': 0,
    // Nobody in the city has anything held.
    'purged-held': 0,
    reviews: tally.decisions.total,
    'reviews-overdue': 0,
    entries: fromLog.entries,
    denied: 0,
    'plate-questions': tally.questions,
  }
  for (const { id, value } of figures) {
    const own = expected[id]
    if (own === undefined) line(id, inWords(value), 'not counted', false)
    else if (own === null) line(id, inWords(value), 'too small', 'withheld' in value)
    else if (typeof own === 'number') line(id, inWords(value), inWords({ count: own }), matches(value, own, false))
    // A rate that rests on a table that cannot be shown is withheld with it.
    else line(id, inWords(value), inWords(own), JSON.stringify(value) === JSON.stringify(own) || 'withheld' in value)
    delete expected[id]
  }
  for (const id of Object.keys(expected)) line(id, 'missing', '', false)

  const breakdown = (id: string, counts: ReadonlyMap<string, number>, labelOf: (name: string) => string) => {
    const table = tables.find((one) => one.id === id)
    const rows = new Map(table?.rows.map(({ label, values }) => [label, values[0]]))
    for (const [name, count] of counts) {
      const value = rows.get(labelOf(name))
      rows.delete(labelOf(name))
      if (value === undefined)
        line(`${id}: ${labelOf(name)}`, table?.withheld ?? 'missing', String(count), table?.withheld != null)
      else line(`${id}: ${labelOf(name)}`, inWords(value), String(count), matches(value, count, true))
    }
    for (const [label, value] of rows)
      line(
        `${id}: ${label}`,
        value === undefined ? '' : inWords(value),
        '0',
        value !== undefined && matches(value, 0, false),
      )
  }
  breakdown('searches-by-organisation', tally.searches.counts, (name) => (name === '' ? 'the agency itself' : name))
  breakdown('searches-by-purpose', new Map([['not stated', tally.searches.total]]), (name) => name)
  breakdown('searches-refused-by-rule', tally.refused.counts, (name) => name.replaceAll('_', ' '))
  const outcomeWords: Record<string, string> = {
    ...{ misread: 'misread: another plate', cleared: 'cleared: no reason to act', stale: 'the entry was out of date' },
    ...{ located: 'the vehicle was found', not_located: 'the vehicle was not found' },
  }
  breakdown('outcomes', tally.outcomes.counts, (name) => outcomeWords[name] ?? name)
  const decisionWords: Record<string, string> = { no_concern: 'no concern', concern: 'concern, followed up' }
  breakdown('review-decisions', tally.decisions.counts, (name) => decisionWords[name] ?? name)

  const bands = [0, 0, 0, 0]
  for (const [name, ms] of registered) {
    const of = tally.onlineMs.of(name) / ms
    const band = of >= 0.99 ? 0 : of >= 0.95 ? 1 : of >= 0.9 ? 2 : 3
    bands[band] = (bands[band] ?? 0) + 1
  }
  const shownBands =
    tables.find(({ id }) => id === 'up-time-bands')?.rows.map(({ values }) => values[0] ?? { text: '' }) ?? []
  line(
    'up-time-bands',
    shownBands.map(inWords).join(' '),
    bands.join(' '),
    shownBands.every((value, i) => matches(value, bands[i] ?? -1, false)),
  )
  const versions = tables.find(({ id }) => id === 'policies')?.rows.length ?? 0
  line('policies', String(versions), String(tally.policies), versions === tally.policies)
  lines.push(
    ...compareLists(
      tables.find(({ id }) => id === 'lists'),
      tally,
      bound,
    ),
  )
  return lines
}

const isSmall = (count: number, bound: number) => count > 0 && count < bound

/** Lists that stand alone must be right; those that were added up must add up to the rest. */
function compareLists(table: TableShown | undefined, tally: Tally, bound: number): Line[] {
  if (table === undefined || table.rows.length === 0) {
    const agrees = table?.withheld != null && [...tally.hits.counts.values()].some((count) => count < 5 * bound)
    return [{ figure: 'lists', published: table?.withheld ?? 'missing', counted: 'some small', agrees }]
  }
  const columns = [tally.hits, tally.alerts, tally.closed, tally.misread]
  const alone = new Set(table.rows.map(({ label }) => label))
  return table.rows.flatMap(({ label, values }) =>
    columns.slice(0, Math.min(columns.length, table.head.length - 1)).map((column, index) => {
      const names = tally.hits.counts.has(label)
        ? [label]
        : [...tally.hits.counts.keys()].filter((name) => !alone.has(name))
      const counted = names.reduce((sum, name) => sum + column.of(name), 0)
      const value = values[index] ?? { text: 'missing' }
      const agrees = 'count' in value && value.count === counted && !isSmall(counted, bound)
      return {
        figure: `${table.head[index + 1]}: ${label}`,
        published: inWords(value),
        counted: String(counted),
        agrees,
      }
    }),
  )
}
