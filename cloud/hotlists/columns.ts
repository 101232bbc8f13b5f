/**
 * Which column of a list file is what: by names known to us or to NCIC, or by a mapping. Called by csv.ts with the first row; pure.
 */
import { parseDate, parseDateAs } from './fields.ts'
import { sliceOf } from './fixed-width.ts'
import { MAX_COLUMNS } from './limits.ts'
import type { FileRecord } from './lines.ts'
import { ANY_OTHER_VALUE, hasHeader, type ListMapping, type MappedField } from './mapping.ts'

/** Column name, lower case → field. The second group are NCIC's message field codes. */
const KNOWN_COLUMNS: Readonly<Record<string, MappedField>> = {
  plate: 'plate',
  jurisdiction: 'jurisdiction',
  category: 'category',
  priority: 'priority',
  reason: 'reason',
  case: 'case',
  effective: 'effective',
  expires: 'expires',
  match: 'match',

  lic: 'plate',
  lis: 'state',
  mke: 'category',
  oca: 'case',
  mis: 'reason',
}

/** NCIC's codes of what an entry has no place for: year and type of the plate, the vehicle, date of theft, agency and record. */
const LEFT_OUT_COLUMNS: ReadonlySet<string> = new Set('liy lit vin vyr vma vmo vst vco dot ori nic'.split(' '))

/** Characters of a column's name in a report. */
const MAX_SHOWN_NAME_LENGTH = 64

export type RowValues = Partial<Record<MappedField, string>>

export interface ColumnUse {
  /** Its name, number or span in the file. */
  column: string
  field: MappedField
}

export interface ColumnPlan {
  used: ColumnUse[]
  /** Known, and without a place in an entry; with a mapping: all that it does not name. */
  leftOut: string[]
  unknown: string[]
  /** Fields of every row; null where rows have none to count. */
  width: number | null
  valuesOf(record: readonly string[]): RowValues
  /** What the file itself calls the row's category: a mapping may rename or leave out a prohibited one, and does not bring it in. */
  categoriesOf(record: readonly string[]): string[]
  /** As parseDate. */
  readDate(text: string, edge: 'start' | 'end'): number | null | undefined
  /** For people. */
  dateExample: string
}

/** From the first row, which is the header row where there is one. A text says why the file cannot be used. */
export function planColumns(first: readonly string[], mapping: ListMapping | null): ColumnPlan | string {
  const isFixed = mapping?.format === 'fixed-width'
  if (!isFixed && first.length > MAX_COLUMNS) return `more than ${MAX_COLUMNS} columns`
  if (mapping === null) return planByKnownNames(first)
  return planByMapping(mapping, hasHeader(mapping) && !isFixed ? first : null, isFixed ? null : first.length)
}

const knownField = (name: string): MappedField | null =>
  Object.hasOwn(KNOWN_COLUMNS, name.toLowerCase()) ? (KNOWN_COLUMNS[name.toLowerCase()] ?? null) : null

const shown = (name: string) => name.slice(0, MAX_SHOWN_NAME_LENGTH)

function planByKnownNames(header: readonly string[]): ColumnPlan | string {
  const places: [MappedField, number][] = []
  const plan = { used: [] as ColumnUse[], leftOut: [] as string[], unknown: [] as string[], width: header.length }
  for (const [i, name] of header.entries()) {
    const field = knownField(name)
    if (field === null) {
      const isLeftOut = LEFT_OUT_COLUMNS.has(name.toLowerCase())
      plan[isLeftOut ? 'leftOut' : 'unknown'].push(shown(name))
      continue
    }
    if (places.some(([other]) => other === field)) return `two columns for ${field}`
    places.push([field, i])
    plan.used.push({ column: shown(name), field })
  }
  if (!places.some(([field]) => field === 'plate')) return 'there is no column `plate` (or `LIC`) in the header row'
  return {
    ...plan,
    valuesOf(record) {
      const values: RowValues = {}
      for (const [field, i] of places) values[field] = record[i] ?? ''
      return values
    },
    categoriesOf: () => [],
    readDate: parseDate,
    dateExample: '2026-01-31, 20260131 or 2026-01-31T08:00:00Z',
  }
}

interface Place extends ColumnUse {
  at: number
  values: ReadonlyMap<string, string> | null
}

/** `header`: the names; null: there are none to go by. */
function planByMapping(
  mapping: ListMapping,
  header: readonly string[] | null,
  width: number | null,
): ColumnPlan | string {
  const names = header?.map((name) => name.toLowerCase()) ?? []
  const places: Place[] = []
  for (const [i, { from, to, optional, values }] of mapping.columns.entries()) {
    const use = { field: to, values: values === undefined ? null : new Map(Object.entries(values)) }
    if (typeof from === 'object') {
      places.push({ ...use, at: i, column: `characters ${from.start}-${from.start + from.length - 1}` })
    } else if (typeof from === 'number') {
      if (width !== null && from > width) return `there is no column ${from}: the first row has ${width}`
      places.push({ ...use, at: from - 1, column: `column ${from}` })
    } else {
      const at = names.indexOf(from.toLowerCase())
      if (at >= 0 && names.includes(from.toLowerCase(), at + 1)) return `two columns are named ${shown(from)}`
      if (at >= 0) places.push({ ...use, at, column: shown(header?.[at] ?? from) })
      else if (!optional) return `there is no column ${shown(from)} in the header row`
    }
  }
  const usedPlaces = new Set(places.map(({ at }) => at))
  const categoryPlaces = new Set([
    ...places.filter(({ field }) => field === 'category').map(({ at }) => at),
    ...names.flatMap((name, i) => (knownField(name) === 'category' ? [i] : [])),
  ])
  const defaults = Object.entries(mapping.defaults).map(
    ([field, value]) => [field as MappedField, String(value)] as const,
  )
  const { dateFormat: format, pivotYear = 0 } = mapping
  return {
    used: places.map(({ column, field }) => ({ column, field })),
    leftOut: header?.filter((_, i) => !usedPlaces.has(i)).map(shown) ?? [],
    unknown: [],
    width,
    valuesOf(record) {
      const values: RowValues = {}
      for (const { field, at, values: translated } of places) {
        const text = record[at] ?? ''
        values[field] = translated === null ? text : translate(text, translated)
      }
      for (const [field, value] of defaults) if ((values[field] ?? '') === '') values[field] = value
      return values
    },
    categoriesOf: (record) => [...categoryPlaces].map((at) => record[at] ?? ''),
    readDate: format === undefined ? parseDate : (text, edge) => parseDateAs(text, edge, { format, pivotYear }),
    dateExample: format ?? '2026-01-31, 20260131 or 2026-01-31T08:00:00Z',
  }
}

function translate(text: string, values: ReadonlyMap<string, string>): string {
  return values.get(text) ?? (text === '' ? undefined : values.get(ANY_OTHER_VALUE)) ?? text
}

/** What is wrong with the last record as the trailer that the mapping tells of, or null. */
export function checkTrailer(
  { startsWith, count, countedBeside }: NonNullable<ListMapping['trailer']>,
  last: FileRecord,
  rows: number,
): string | null {
  if (startsWith !== undefined && !last.text.startsWith(startsWith)) {
    return 'the last record is not the trailer: the file has been cut short'
  }
  if (count === undefined) return null
  const said = typeof count === 'object' ? sliceOf(last.text, count) : (last.record[count - 1] ?? '')
  if (!/^\d{1,12}$/.test(said)) return 'the trailer says no number of rows: the file has been cut short'
  const expected = Number(said) - countedBeside
  return expected === rows ? null : `the trailer tells of ${expected} rows, and there are ${rows}`
}
