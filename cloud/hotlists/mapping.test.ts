import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MAX_COLUMNS, MAX_ROW_BYTES } from './limits.ts'
import {
  BUILT_IN_MAPPINGS,
  listMappingSchema,
  MAX_COLUMN_NAME_LENGTH,
  MAX_COUNTED_BESIDE,
  MAX_MAPPED_VALUE_LENGTH,
  MAX_MAPPED_VALUES,
  MAX_MAPPING_BYTES,
  MAX_SKIPPED_LINES,
  MAX_TRAILER_MARK_LENGTH,
  type WrittenMapping,
} from './mapping.ts'

const PLATE = { from: 'Number', to: 'plate' }
const FIXED = { format: 'fixed-width', columns: [{ from: { start: 1, length: 8 }, to: 'plate' }] }

/** `field: problem` of each thing that is wrong. */
function wrongIn(document: object): string[] {
  const { success, error } = listMappingSchema.safeParse(document)
  return success ? [] : (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`)
}
const delimited = (more: object) => wrongIn({ format: 'delimited', columns: [PLATE], ...more })
const fixed = (more: object) => wrongIn({ ...FIXED, ...more })

test('a mapping is taken with the least it needs, and its defaults are filled in', () => {
  assert.equal(listMappingSchema.parse({ format: 'delimited', columns: [PLATE] }), {
    format: 'delimited',
    encoding: 'utf-8',
    skipLines: 0,
    columns: [{ from: 'Number', to: 'plate', optional: false }],
    defaults: {},
  })
  assert.equal(fixed({}), [])
  assert.ok(BUILT_IN_MAPPINGS.ncic)
})

test('two columns for one field, none for the plate, and columns of the other format are refused', () => {
  assert.equal(delimited({ columns: [PLATE, { from: 'Plate 2', to: 'plate' }] }), [
    'columns.1.to: two columns for plate',
  ])
  assert.equal(delimited({ columns: [{ from: 'State', to: 'state' }] }), ['columns: no column for plate'])
  assert.equal(delimited({ columns: FIXED.columns }), ['columns.0.from: must be a name or a number'])
  assert.equal(fixed({ columns: [PLATE] }), ['columns.0.from: must be {start, length}'])
  assert.equal(fixed({ columns: [{ from: 1, to: 'plate' }] }), ['columns.0.from: must be {start, length}'])
  assert.equal(delimited({ header: false }), ['columns.0.from: a name needs a header row'])
  assert.equal(delimited({ columns: [{ from: 1, to: 'plate', optional: true }] }), [
    'columns.0.optional: is for columns by name',
  ])
  assert.equal(
    delimited({ columns: [PLATE, { from: 'Number', to: 'reason' }] }),
    [],
    'one column may become two fields',
  )
})

test('every wrong value and every key that does not belong is named', () => {
  const wrong: [string, object][] = [
    ['format', { format: 'xml' }],
    ['delimiter', { delimiter: ':' }],
    ['quote', { quote: '`' }],
    ['header', { header: 'yes' }],
    ['encoding', { encoding: 'utf-16' }],
    ['skipLines', { skipLines: -1 }],
    ['columns', { columns: [] }],
    ['columns.0.to', { columns: [{ from: 'A', to: 'colour' }] }],
    ['columns.0.from', { columns: [{ from: 0, to: 'plate' }] }],
    ['columns.0.from', { columns: [{ from: ' ', to: 'plate' }] }],
    ['columns.0.values.a', { columns: [{ from: 'A', to: 'plate', values: { a: 1 } }] }],
    ['dateFormat', { dateFormat: 'D. MMMM YYYY' }],
    ['pivotYear', { dateFormat: 'MMDDYY' }],
    ['pivotYear', { dateFormat: 'MMDDYY', pivotYear: 100 }],
    ['pivotYear', { dateFormat: 'YYYYMMDD', pivotYear: 50 }],
    ['pivotYear', { pivotYear: 50 }],
    ['defaults.priority', { defaults: { priority: 6 } }],
    ['defaults.match', { defaults: { match: 'maybe' } }],
    ['defaults.jurisdiction', { defaults: { jurisdiction: 'California' } }],
    ['defaults', { defaults: { plate: 'ABC123' } }],
    ['trailer', { trailer: {} }],
    ['trailer.count', { trailer: { count: { start: 1, length: 2 } } }],
    ['trailer.countedBeside', { trailer: { startsWith: 'T', countedBeside: 1 } }],
    ['', { colour: 1 }],
  ]
  for (const [field, more] of wrong) {
    assert.ok(
      delimited(more).some((line) => line.startsWith(`${field}: `)),
      `${field}: ${JSON.stringify(more)} gives ${delimited(more)}`,
    )
  }
  assert.match(fixed({ delimiter: ',' })[0] ?? '', /^delimiter: /)
  assert.match(fixed({ quote: null })[0] ?? '', /^quote: /)
  assert.match(fixed({ trailer: { count: 2 } })[0] ?? '', /^trailer.count: /)
})

test('each limit is taken, and one more is refused', () => {
  const columns = (count: number) => [PLATE, ...Array.from({ length: count - 1 }, () => ({ from: 1, to: 'reason' }))]
  const tooMany = (problem: string) => !problem.includes('two columns')
  const limits: [string, number, (size: number) => object][] = [
    ['column name', MAX_COLUMN_NAME_LENGTH, (size) => ({ columns: [{ from: 'n'.repeat(size), to: 'plate' }] })],
    ['column number', MAX_COLUMNS, (size) => ({ columns: [{ from: size, to: 'plate' }] })],
    ['columns', MAX_COLUMNS, (size) => ({ columns: columns(size) })],
    ['skipped lines', MAX_SKIPPED_LINES, (size) => ({ skipLines: size })],
    ['trailer mark', MAX_TRAILER_MARK_LENGTH, (size) => ({ trailer: { startsWith: 't'.repeat(size) } })],
    ['counted beside', MAX_COUNTED_BESIDE, (size) => ({ trailer: { count: 1, countedBeside: size } })],
    ['value', MAX_MAPPED_VALUE_LENGTH, (size) => ({ columns: [{ ...PLATE, values: { a: 'v'.repeat(size) } }] })],
    [
      'values',
      MAX_MAPPED_VALUES,
      (size) => ({
        columns: [{ ...PLATE, values: Object.fromEntries(Array.from({ length: size }, (_, i) => [`${i}`, ''])) }],
      }),
    ],
  ]
  for (const [name, limit, at] of limits) {
    assert.equal(delimited(at(limit)).filter(tooMany), [], name)
    assert.ok(delimited(at(limit + 1)).filter(tooMany).length > 0, name)
  }
  const endingAt = (end: number) => fixed({ columns: [{ from: { start: 2, length: end - 1 }, to: 'plate' }] })
  assert.equal(endingAt(MAX_ROW_BYTES), [])
  assert.is(endingAt(MAX_ROW_BYTES + 1).length, 1)
})

test('a whole document at its limit is taken, and a byte more is refused', () => {
  const values = (length: number) =>
    Object.fromEntries(Array.from({ length: MAX_MAPPED_VALUES }, (_, i) => [String(i).padStart(length, '0'), '']))
  const filler = Object.fromEntries(Array.from({ length: 22 }, (_, i) => [`k${i}`, 'z'.repeat(250)]))
  const fields = ['category', 'reason'] as const
  const sized = (last: number): WrittenMapping => ({
    format: 'delimited',
    columns: [
      { from: 'Number', to: 'plate' },
      ...fields.map((to) => ({ from: 'Kind', to, values: values(MAX_MAPPED_VALUE_LENGTH - 6) })),
      { from: 'Case', to: 'case', values: { ...filler, x: 'y'.repeat(last) } },
    ],
  })
  const room = MAX_MAPPING_BYTES - JSON.stringify(listMappingSchema.parse(sized(0))).length
  assert.ok(room > 0 && room < MAX_MAPPED_VALUE_LENGTH, `${room}`)
  assert.equal(wrongIn(sized(room)), [])
  assert.equal(wrongIn(sized(room + 1)), [`: longer than ${MAX_MAPPING_BYTES} bytes as JSON`])
})

test.run()
