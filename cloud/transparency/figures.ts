/** The figures of a period, from the daily counts and what other parts know; small counts protected. Called by transparency.ts. */

import type { AlertOutcome } from '../../shared/wire/index.ts'
import type { OutcomeFigures } from '../alerts/outcomes.ts'
import { wilson } from '../alerts/outcomes.ts'
import { type Figure, NO_PURPOSE } from '../usage/figures.ts'
import type { Days } from '../usage.ts'
import type { FigureShown, Section, TableShown, Value } from './document.ts'
import { dateOf } from './document.ts'
import { isSmall, pooled, protect, shown } from './small-counts.ts'

export interface Counted {
  days: Days
  /** Counts from 1 to below it are not shown. */
  bound: number
  usage: ReadonlyMap<Figure, ReadonlyMap<string, number>>
  cameras: CameraTimes
  said: { made: number; withheld: number; lost: number }
  lists: readonly OutcomeFigures[]
  review: { decided: ReadonlyMap<string, number>; open: number; overdue: number }
  policies: readonly { version: number; issuedAtMs: number }[]
  labels: { purposes: ReadonlyMap<string, string> }
}

/** Cameras that were registered at some time of the period. */
export interface CameraTimes {
  registered: number
  /** Of each: the time online, and the time for which it was registered, ms. */
  times: readonly { onlineMs: number; registeredMs: number }[]
}

const LOG = 'daily counts of the log of use'
const SEEN = 'counted when the server stored a sighting, each vehicle once, however often a camera sent it'

type Told = [label: string, explanation: string, source: string]
const figure = (id: string, value: Value, [label, explanation, source]: Told, unit = ''): FigureShown => ({
  ...{ id, label, value, unit, explanation, source },
})
const sumOf = (counts: ReadonlyMap<string, number> | undefined) =>
  [...(counts?.values() ?? [])].reduce((sum, count) => sum + count, 0)

export function trafficSection({ usage, said, bound, cameras }: Counted): Section {
  const sightings = sumOf(usage.get('sightings'))
  const hits = sumOf(usage.get('hits'))
  return {
    ...{ id: 'traffic', title: 'Cameras and vehicles', paragraphs: [], tables: [], lists: [] },
    figures: [
      figure('cameras', { count: cameras.registered }, [
        'Cameras',
        'registered at the end of the period',
        'the register of cameras',
      ]),
      figure('vehicles', { count: sightings }, [
        'Vehicles detected',
        'passing vehicles that cameras sent to the server, with and without a readable plate',
        SEEN,
      ]),
      figure('vehicles-kept-back', { count: said.withheld }, [
        'Vehicles that never left a camera',
        'seen, and by policy not sent, because they met no entry of a list; at least so many: what a camera had not reported when it was switched off is not known',
        'health reports of the cameras',
      ]),
      figure('vehicles-lost', { count: said.lost }, [
        'Vehicles lost on a camera',
        'seen, but not stored, because its disk was full or busy',
        'health reports of the cameras',
      ]),
      figure('hits', shown(hits, bound), [
        'Hotlist hits',
        'vehicles whose plate met an entry of a list, exactly or nearly, misreads among them',
        SEEN,
      ]),
      figure('hit-share', rateOf(hits, sightings, bound), [
        'Hits of all vehicles detected',
        'how many of a hundred vehicles met an entry of a list',
        'the two figures above',
      ]),
    ],
  }
}

function rateOf(part: number, whole: number, bound: number): Value {
  if (isSmall(part, bound) || isSmall(whole, bound)) return { withheld: true }
  return whole === 0 ? { text: 'none' } : { rate: part / whole }
}

/** A breakdown by name, in the order of the labels, under its total. */
function breakdown(
  told: { id: string; caption: string; head: [string, string]; explanation: string; source: string },
  named: readonly { label: string; count: number }[],
  bound: number,
): TableShown {
  const { cells } = protect(
    named.map(({ count }) => count),
    bound,
  )
  const rows = named.map(({ label }, index) => ({ label, values: [cells?.[index] ?? { withheld: true as const }] }))
  return { ...told, rows: cells === null ? [] : rows, withheld: cells === null ? TOO_FEW : null }
}
const TOO_FEW = 'Not shown, because the counts are too small.'

const byLabel = (counts: ReadonlyMap<string, number> | undefined, labelOf: (name: string) => string) =>
  [...(counts ?? [])]
    .map(([name, count]) => ({ label: labelOf(name), count }))
    .sort((a, b) => (a.label < b.label ? -1 : 1))

const OWN = 'the agency itself'

export function searchSection({ usage, bound, labels }: Counted): Section {
  const searches = usage.get('searches')
  const refused = usage.get('searches_refused')
  return {
    ...{ id: 'searches', title: 'Searches of stored reads', paragraphs: [], lists: [] },
    figures: [
      figure('searches', shown(sumOf(searches), bound), [
        'Searches',
        'of stored reads, evidence holds by plate among them; turning a page is no further one',
        LOG,
      ]),
      figure('searches-refused', shown(sumOf(refused), bound), [
        'Searches refused',
        'because a rule of the policy was not met',
        LOG,
      ]),
    ],
    tables: [
      breakdown(
        {
          ...{
            id: 'searches-by-organisation',
            caption: 'Searches by organisation',
            head: ['Organisation', 'Searches'],
          },
          ...{ explanation: 'who searched, or for whom', source: LOG },
        },
        byLabel(searches, (name) => (name === '' ? OWN : name)),
        bound,
      ),
      breakdown(
        {
          ...{ id: 'searches-by-purpose', caption: 'Searches by purpose', head: ['Purpose', 'Searches'] },
          ...{ explanation: 'of the purposes that the policy permits', source: LOG },
        },
        byLabel(usage.get('purposes'), (name) =>
          name === NO_PURPOSE ? 'not stated' : (labels.purposes.get(name) ?? name),
        ),
        bound,
      ),
      breakdown(
        {
          ...{
            id: 'searches-refused-by-rule',
            caption: 'Searches refused, by rule',
            head: ['Rule', 'Searches refused'],
          },
          ...{ explanation: 'the first rule that each refused search broke', source: LOG },
        },
        byLabel(refused, (rule) => rule.replaceAll('_', ' ')),
        bound,
      ),
    ],
  }
}

/** In this order: of those that are not small the first may be withheld, and misreads are what matters most. */
const OUTCOME_WORDS: Readonly<Record<AlertOutcome, string>> = {
  cleared: 'cleared: no reason to act',
  stale: 'the entry was out of date',
  wrong_jurisdiction: 'the plate of another state',
  not_located: 'the vehicle was not found',
  located: 'the vehicle was found',
  misread: 'misread: another plate',
}

export function alertSection({ usage, lists, bound }: Counted): Section {
  const outcomes = (Object.keys(OUTCOME_WORDS) as AlertOutcome[]).map((outcome) => ({
    label: OUTCOME_WORDS[outcome],
    count: lists.reduce((all, list) => all + (list.outcomes[outcome] ?? 0), 0),
  }))
  const closed = outcomes.reduce((sum, { count }) => sum + count, 0)
  const table = breakdown(
    {
      ...{ id: 'outcomes', caption: 'How alerts were closed', head: ['Outcome', 'Alerts'] },
      explanation: 'of the alerts that were raised in the period, as far as they are closed',
      source: 'counts of outcomes, kept without a plate',
    },
    outcomes,
    bound,
  )
  const misread = table.rows.at(-1)?.values[0]
  const knownMisread = misread !== undefined && 'count' in misread ? misread.count : null
  const rate = knownMisread === null ? null : wilson(knownMisread, closed)
  return {
    ...{ id: 'alerts', title: 'Alerts', paragraphs: [], lists: [] },
    figures: [
      figure('alerts', shown(sum(lists, 'raised'), bound), [
        'Alerts raised',
        'sightings of one vehicle within an hour make one alert',
        'counts of outcomes, kept without a plate',
      ]),
      figure('alerts-closed', shown(closed, bound), [
        'of these, closed by an officer',
        'after a comparison of the picture, or because the entry no longer held',
        'counts of outcomes, kept without a plate',
      ]),
      figure('misread-rate', rate ?? (closed === 0 ? { text: 'none is closed' } : { withheld: true }), [
        'Misread',
        'of the closed alerts, those in which the camera had read another plate; in brackets where the rate lies with 95 % certainty',
        'counts of outcomes, kept without a plate',
      ]),
    ],
    tables: [table, listTable(usage.get('hits') ?? new Map(), lists, bound, knownMisread !== null)],
  }
}

const sum = (lists: readonly OutcomeFigures[], key: 'raised' | 'closed') =>
  lists.reduce((all, list) => all + list[key], 0)

/** Hits, alerts and misreads by list; those of closings only where the table of outcomes tells their sums anyway. */
function listTable(
  hits: ReadonlyMap<string, number>,
  lists: readonly OutcomeFigures[],
  bound: number,
  withClosed: boolean,
): TableShown {
  const names = [...new Set([...hits.keys(), ...lists.map(({ name }) => name)])].sort()
  const rows = names.map((name) => {
    const of = lists.filter((list) => list.name === name)
    const closed = sum(of, 'closed')
    const misread = of.reduce((all, list) => all + (list.outcomes.misread ?? 0), 0)
    // What is left of the closed ones must not be small either: it could be computed.
    const closings = withClosed ? [closed, misread, closed - misread] : []
    return { name, counts: [hits.get(name) ?? 0, sum(of, 'raised'), ...closings] }
  })
  const made = pooled(rows, bound, 'other lists, added up')
  const values = (counts: readonly number[]): Value[] => {
    const [hit = 0, raised = 0, closed, misread] = counts
    const first = [{ count: hit }, { count: raised }]
    if (closed === undefined || misread === undefined) return first
    return [...first, { count: closed }, { count: misread }, wilson(misread, closed) ?? { text: 'none is closed' }]
  }
  return {
    ...{ id: 'lists', caption: 'Hits, alerts and misreads by list' },
    head: ['List', 'Hits', 'Alerts', ...(withClosed ? ['Closed', 'Misread', 'Misread rate'] : [])],
    explanation: 'as above, by the list whose entry was met; in brackets where the rate lies with 95 % certainty',
    source: 'counts of sightings and of outcomes, kept without a plate',
    rows: (made ?? []).map(({ name, counts }) => ({ label: name, values: values(counts) })),
    withheld: made === null ? TOO_FEW : null,
  }
}

const UP_TIME_BANDS = [
  { label: '99 % or more of the time', least: 0.99 },
  { label: '95 to 99 %', least: 0.95 },
  { label: '90 to 95 %', least: 0.9 },
  { label: 'less than 90 %', least: 0 },
] as const

export function upTimeSection({ cameras }: Counted): Section {
  const times = cameras.times.filter(({ registeredMs }) => registeredMs > 0)
  const online = times.reduce((all, { onlineMs }) => all + onlineMs, 0)
  const registered = times.reduce((all, { registeredMs }) => all + registeredMs, 0)
  const source = 'status and health reports of the cameras, by the time at which the server received them'
  const bandOf = (share: number) => UP_TIME_BANDS.find(({ least }) => share >= least)?.label
  return {
    ...{ id: 'up-time', title: 'Camera up-time', paragraphs: [], lists: [] },
    figures: [
      figure('up-time', registered === 0 ? { text: 'none' } : { rate: online / registered }, [
        'Time online',
        'of the time for which cameras were registered; time in which the server itself was away counts as offline',
        source,
      ]),
    ],
    tables: [
      {
        ...{ id: 'up-time-bands', caption: 'Cameras by time online', head: ['Online', 'Cameras'] },
        ...{ explanation: 'each camera by the share of its registered time', source, withheld: null },
        rows: UP_TIME_BANDS.map(({ label }) => ({
          label,
          values: [{ count: times.filter((one) => bandOf(one.onlineMs / one.registeredMs) === label).length }],
        })),
      },
    ],
  }
}

export function deletionSection({ usage, bound }: Counted): Section {
  const purged = usage.get('purged')
  const acts = usage.get('acts')
  const source = 'receipts of deletion in the log of use'
  const holds = byLabel(usage.get('holds'), (name) => name.replaceAll('_', ' '))
  return {
    ...{ id: 'deletion', title: 'Deletion and holds', paragraphs: [], lists: [], tables: [] },
    figures: [
      figure('purges', { count: acts?.get('retention.purged allowed') ?? 0 }, [
        'Receipts of deletion',
        'each says what was deleted because its time was over',
        source,
      ]),
      figure('purged-sightings', { count: (purged?.get('unmatched') ?? 0) + (purged?.get('matched') ?? 0) }, [
        'Records of sightings deleted',
        'a vehicle may have two: an early one and a final one',
        source,
      ]),
      figure('purged-held', { count: purged?.get('held') ?? 0 }, [
        'Held records and pictures deleted',
        'an evidence hold had kept them beyond their time, and ended',
        source,
      ]),
      figure('purged-pictures', { count: purged?.get('crops') ?? 0 }, ['Pictures deleted', 'of plates', source]),
      ...holds.map(({ label, count }) =>
        figure(`hold-${label.replaceAll(' ', '-')}`, shown(count, bound), [
          `Evidence holds: ${label}`,
          'what a case needs is kept beyond its time, by name',
          LOG,
        ]),
      ),
    ],
  }
}

const DECISION_WORDS = { no_concern: 'no concern', explained: 'explained', concern: 'concern, followed up' } as const

export function oversightSection({ usage, review, policies, bound, days }: Counted): Section {
  const decided = Object.entries(DECISION_WORDS).map(([decision, label]) => ({
    label,
    count: review.decided.get(decision) ?? 0,
  }))
  return {
    ...{ id: 'oversight', title: 'Oversight', paragraphs: [], lists: [] },
    figures: [
      figure(
        'reviews',
        shown(
          decided.reduce((all, { count }) => all + count, 0),
          bound,
        ),
        [
          'Findings reviewed',
          'what stood out in somebody’s use, decided by another person within the period',
          'the review of use',
        ],
      ),
      figure('reviews-overdue', shown(review.overdue, bound), [
        'Findings overdue',
        'not decided within a period of review, when this report was made',
        'the review of use',
      ]),
      figure('entries', { count: sumOf(usage.get('acts')) }, [
        'Entries of the log of use',
        'written in the period, of all kinds',
        LOG,
      ]),
      figure('denied', { count: sumOf(usage.get('denied')) }, [
        'Connections and messages refused',
        'by the server, such as of a device that it does not know',
        LOG,
      ]),
      figure('plate-questions', shown(usage.get('acts')?.get('audit.searched allowed') ?? 0, bound), [
        'Questions about a plate answered',
        'by an auditor, who said whether it was searched',
        LOG,
      ]),
    ],
    tables: [
      breakdown(
        {
          ...{ id: 'review-decisions', caption: 'How findings were decided', head: ['Decision', 'Findings'] },
          ...{ explanation: 'nobody decides a finding about themselves', source: 'the review of use' },
        },
        decided,
        bound,
      ),
      {
        ...{ id: 'policies', caption: 'Versions of the policy in force in the period', head: ['Version', 'Since'] },
        ...{ explanation: 'each change is a new, signed version', source: 'the policy', withheld: null },
        rows: policiesIn(policies, days).map(({ version, issuedAtMs }) => ({
          label: String(version),
          values: [{ text: new Date(issuedAtMs).toISOString().slice(0, 10) }],
        })),
      },
    ],
  }
}

/** Those issued within the days, and the one that was in force when they began. */
function policiesIn(policies: Counted['policies'], { from, to }: Days) {
  const sorted = [...policies].sort((a, b) => a.version - b.version)
  const dayOfIssue = ({ issuedAtMs }: { issuedAtMs: number }) => new Date(issuedAtMs).toISOString().slice(0, 10)
  const before = sorted.filter((one) => dayOfIssue(one) < dateOf(from)).slice(-1)
  return [...before, ...sorted.filter((one) => dayOfIssue(one) >= dateOf(from) && dayOfIssue(one) <= dateOf(to))]
}
