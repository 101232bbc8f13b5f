/** Files that are laid out otherwise than ours, read by a mapping. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MAX_LIST_ENTRIES } from '../../shared/wire/hotlist.ts'
import { parseHotlist } from './csv.ts'
import { parseDateAs } from './fields.ts'
import { MAX_COLUMNS, MAX_IMPORT_BYTES, MAX_ROW_BYTES } from './limits.ts'
import type { HotlistRow } from './list-row.ts'
import {
  BUILT_IN_MAPPINGS,
  type DateFormat,
  type ListMapping,
  listMappingSchema,
  type WrittenMapping,
} from './mapping.ts'

async function read(text: string | Buffer, mapping: WrittenMapping | ListMapping) {
  const got: HotlistRow[] = []
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  const options = { rule: 'exact', priority: 3, prohibited: [], mapping: listMappingSchema.parse(mapping) } as const
  const report = await parseHotlist(bytes, options, async (rows) => {
    got.push(...rows)
  })
  return { ...report, got, plates: got.map(({ plate }) => plate), first: report.problems[0] }
}

const NAMED: WrittenMapping = {
  format: 'delimited',
  columns: [
    { from: 'Tag No', to: 'plate' },
    { from: 'St', to: 'state' },
    { from: 'Kind', to: 'category', values: { S: 'stolen vehicle', F: 'felony vehicle' } },
    { from: 'Kind', to: 'priority', values: { F: '1', '*': '4' } },
    { from: 'From', to: 'effective' },
    { from: 'Until', to: 'expires', values: { NONEXP: '' } },
  ],
  dateFormat: 'MM/DD/YYYY',
  defaults: { category: 'local', reason: 'ask the desk', match: 'near', case: 'none' },
}

const FIXED: WrittenMapping = {
  format: 'fixed-width',
  columns: [
    { from: { start: 1, length: 8 }, to: 'plate' },
    { from: { start: 9, length: 2 }, to: 'state' },
    { from: { start: 11, length: 6 }, to: 'expires' },
    { from: { start: 17, length: 12 }, to: 'reason' },
  ],
  dateFormat: 'MMDDYY',
  pivotYear: 80,
}
const COUNTED: WrittenMapping = { ...FIXED, trailer: { startsWith: 'TRL', count: { start: 4, length: 6 } } }

test('columns of other names are read, their values translated, and what a row does not say is filled in', async () => {
  const { got, columns, leftOutColumns, unknownColumns, bad } = await read(
    'St;TAG NO;Colour;Kind;From;Until\nCA;ABC-123;red;F;01/31/2026;02/01/2026\n;BCD234;;;;NONEXP\nTX;CDE345;;X;;\n',
    NAMED,
  )
  assert.is(bad, 0)
  assert.equal(got[0], {
    plate: 'ABC123',
    jurisdiction: 'US-CA',
    category: 'felony vehicle',
    priority: 1,
    rule: 'near',
    reason: 'ask the desk',
    caseNumber: 'none',
    effectiveAtMs: Date.UTC(2026, 0, 31),
    expiresAtMs: Date.UTC(2026, 1, 2),
  })
  assert.equal([got[1]?.category, got[1]?.priority, got[1]?.expiresAtMs], ['local', 3, null])
  assert.equal([got[2]?.category, got[2]?.priority], ['X', 4], 'a value that is not named stays, unless "*" is')
  assert.equal(leftOutColumns, ['Colour'])
  assert.equal(unknownColumns, [])
  assert.equal(columns.slice(0, 2), [
    { column: 'TAG NO', field: 'plate' },
    { column: 'St', field: 'state' },
  ])
})

test('columns are taken by number when there are no names, below a header that is none of the rows, and after lines that are skipped', async () => {
  const columns = [
    { from: 2, to: 'plate' as const },
    { from: 1, to: 'case' as const },
  ]
  const none = await read('24-1|ABC123\n24-2|BCD234\n24-3|!\n24-4|CDE345|x\n', { format: 'delimited', columns })
  assert.equal(none.plates, ['ABC123', 'BCD234'])
  assert.equal(none.problems, [
    { line: 3, problem: 'not a plate: 2 to 12 letters and digits are needed' },
    { line: 4, problem: '3 fields, the first row has 2' },
  ])
  const below = await read('made by\nsome system\ncase,plate\n24-1,ABC123\n24-2,\n', {
    ...{ format: 'delimited', columns, header: true, skipLines: 2 },
  })
  assert.equal([below.plates, below.first?.line], [['ABC123'], 5])
  const one = await read('24-1\n', { format: 'delimited', columns })
  assert.match(one.first?.problem ?? '', /no column 2/)
  const spread = await read('a\r\nb\rc,ABC123\r', { format: 'delimited', columns, delimiter: ',', skipLines: 2 })
  assert.equal(spread.plates, ['ABC123'])
})

test('a quote that is none stays in its field, and another one is taken', async () => {
  const columns = [
    { from: 1, to: 'plate' as const },
    { from: 2, to: 'reason' as const },
  ]
  const rough = await read('ABC123,5" pipe\n', { format: 'delimited', columns, quote: null })
  assert.is(rough.got[0]?.reason, '5" pipe')
  const single = await read("ABC123,'a,b'\n", { format: 'delimited', columns, quote: "'" })
  assert.is(single.got[0]?.reason, 'a,b')
})

test('a named column that is missing or stands twice makes the file unusable, an optional one does not', async () => {
  assert.match((await read('Tag No,St\nABC123,CA\n', NAMED)).first?.problem ?? '', /no column Kind in the header row/)
  const twice = await read('Tag No,tag no,St,Kind,From,Until\n', NAMED)
  assert.ok(twice.unusable)
  assert.match(twice.first?.problem ?? '', /two columns are named Tag No/)
  assert.equal((await read('LIC|VIN\nABC123|1HG\n', BUILT_IN_MAPPINGS.ncic as ListMapping)).plates, ['ABC123'])
  assert.ok((await read('LIS|VIN\nCA|1HG\n', BUILT_IN_MAPPINGS.ncic as ListMapping)).unusable)
})

test('neither renaming nor leaving out its column brings a prohibited category in', async () => {
  const renamed = await read('Tag No,St,Kind,From,Until\nABC123,,IMMIGRATION VIOLATOR,,\nBCD234,,S,,\n', {
    ...NAMED,
    columns: [
      { from: 'Tag No', to: 'plate' },
      { from: 'Kind', to: 'category', values: { 'IMMIGRATION VIOLATOR': 'other' } },
    ],
  })
  assert.equal([renamed.prohibited, renamed.plates], [1, ['BCD234']])
  const leftOut = await read('Tag,MKE\nABC123,Deported felon\nBCD234,EV\n', {
    format: 'delimited',
    columns: [{ from: 'Tag', to: 'plate' }],
  })
  assert.equal([leftOut.prohibited, leftOut.plates], [1, ['BCD234']])
})

test('a fixed-width file is cut by characters, whatever ends its lines, and short lines have empty columns', async () => {
  const { got, problems, columns } = await read(
    'ABC123  CA013126ärger – üb.\r\nBCD234\n\n   \nX\nCDE345  ZZ\n🚗🚗ABC12 CA\rDEF456  NV123179\n\u001a',
    FIXED,
  )
  assert.equal(
    got.map((row) => [row.plate, row.jurisdiction, row.expiresAtMs, row.reason]),
    [
      ['ABC123', 'US-CA', Date.UTC(2026, 1, 1), 'ärger – üb.'],
      ['BCD234', null, null, null],
      ['DEF456', 'US-NV', Date.UTC(2080, 0, 1), null],
    ],
  )
  assert.equal(
    problems.map(({ line }) => line),
    [5, 6, 7],
  )
  assert.equal(columns[1], { column: 'characters 9-10', field: 'state' })
})

test('a character outside the basic plane is one column wide', async () => {
  const columns = [
    { from: { start: 1, length: 2 }, to: 'reason' as const },
    { from: { start: 3, length: 6 }, to: 'plate' as const },
  ]
  const { got } = await read('🚗🚗ABC123\n', { format: 'fixed-width', columns })
  assert.equal([got[0]?.reason, got[0]?.plate], ['🚗🚗', 'ABC123'])
})

test('Latin-1 is read when the mapping says so, in both formats; else the file is refused as no UTF-8', async () => {
  const row = Buffer.from('ABC123  CA      Müller\n', 'latin1')
  assert.is((await read(row, { ...FIXED, encoding: 'latin-1' })).got[0]?.reason, 'Müller')
  assert.match((await read(row, FIXED)).first?.problem ?? '', /not UTF-8.*latin-1/)
  const delimited: WrittenMapping = {
    format: 'delimited',
    columns: [
      { from: 'Kennzeichen', to: 'plate' },
      { from: 'Größe', to: 'reason' },
    ],
  }
  const text = Buffer.from('Kennzeichen;Größe\nABC123;Müller\n', 'latin1')
  assert.is((await read(text, { ...delimited, encoding: 'latin-1' })).got[0]?.reason, 'Müller')
  const bom = await read('\uFEFFKennzeichen;Größe\nABC123;x\n', { ...delimited, encoding: 'latin-1' })
  assert.match(bom.first?.problem ?? '', /begins as UTF-8/)
  assert.equal((await read('\uFEFFKennzeichen;Größe\nABC123;x\n', delimited)).plates, ['ABC123'])
  assert.ok((await read(Buffer.from('ABC123\0 CA\n'), { ...FIXED, encoding: 'latin-1' })).unusable, 'zero bytes')
})

test('the trailer must be there and count right: a file that was cut short is not taken', async () => {
  const rows = 'ABC123  CA\nBCD234  CA\n'
  const whole = await read(`${rows}TRL000002\n`, COUNTED)
  assert.equal([whole.unusable, whole.plates, whole.rows], [false, ['ABC123', 'BCD234'], 2])
  const less = await read(`${rows}TRL000003\n`, COUNTED)
  assert.ok(less.unusable)
  assert.equal(less.first, { line: 3, problem: 'the trailer tells of 3 rows, and there are 2' })
  const cut = await read(rows, COUNTED)
  assert.equal([cut.unusable, cut.first?.line], [true, 2])
  assert.match(cut.first?.problem ?? '', /cut short/)
  assert.ok((await read(`${rows}TRL\n`, COUNTED)).unusable, 'no number')
  const itself = { ...COUNTED, trailer: { count: { start: 4, length: 6 }, countedBeside: 2 } }
  assert.not((await read(`${rows}TRL000004\n`, itself)).unusable)
  assert.ok((await read(`${rows}TRL000002\n`, itself)).unusable)
  const bad = await read(`A\n${rows}TRL000003\n`, COUNTED)
  assert.equal([bad.unusable, bad.bad], [false, 1], 'bad rows are counted too')
})

test('a delimited file has its trailer too', async () => {
  const mapping: WrittenMapping = {
    format: 'delimited',
    columns: [{ from: 'Tag', to: 'plate' }],
    trailer: { startsWith: 'END', count: 2 },
  }
  assert.equal((await read('Tag,x\nABC123,\nEND,1\n', mapping)).plates, ['ABC123'])
  assert.match(
    (await read('Tag,x\nABC123,\nEND,2\n', mapping)).first?.problem ?? '',
    /tells of 2 rows, and there are 1/,
  )
  assert.ok((await read('Tag,x\nABC123,\n', mapping)).unusable)
  assert.ok((await read('END,0\n', mapping)).unusable, 'no header')
  assert.not((await read('Tag,x\nEND,0\n', mapping)).unusable)
})

test('an empty file is unusable, and one with nothing but its trailer is a list of none', async () => {
  for (const mapping of [NAMED, FIXED, COUNTED]) {
    for (const text of ['', '\n\r\n', '\uFEFF']) assert.ok((await read(text, mapping)).unusable)
  }
  const none = await read('TRL000000\n', COUNTED)
  assert.equal([none.unusable, none.good], [false, 0])
})

test('a repeated plate is told with the line of the first', async () => {
  const { problems } = await read('ABC123\nabc 123\n', FIXED)
  assert.equal(problems, [{ line: 2, problem: 'the same plate, jurisdiction and case as in line 1' }])
})

test('a fixed-width row at its limit is read and one byte more ends the reading; so with columns and bytes', async () => {
  const long = (size: number) => read(`BCD234\nABC123${'x'.repeat(size - 6).replace(/^../, '  ')}\n`, FIXED)
  assert.is((await long(MAX_ROW_BYTES)).bad, 1, 'its other columns are wrong')
  const over = await long(MAX_ROW_BYTES + 1)
  assert.equal([over.unusable, over.first?.line], [true, 2])
  const wide = (count: number) =>
    read(`ABC123${',x'.repeat(count - 1)}\n`, { format: 'delimited', columns: [{ from: 1, to: 'plate' }] })
  assert.equal((await wide(MAX_COLUMNS)).plates, ['ABC123'])
  assert.ok((await wide(MAX_COLUMNS + 1)).unusable)
  const file = Buffer.alloc(MAX_IMPORT_BYTES + 1, '\n')
  file.write('ABC123')
  assert.equal((await read(file.subarray(1), FIXED)).plates, ['BC123'])
  assert.ok((await read(file, FIXED)).unusable)
})

test('as many entries as a list may have are read, and one more is not', async () => {
  const file = (count: number) =>
    Buffer.from(Array.from({ length: count }, (_, i) => `${i.toString(36).padStart(6, '0')}\n`).join(''))
  const options = { rule: 'exact', priority: 3, prohibited: [], mapping: listMappingSchema.parse(FIXED) } as const
  const most = await parseHotlist(file(MAX_LIST_ENTRIES), options, async () => {})
  assert.equal([most.unusable, most.good], [false, MAX_LIST_ENTRIES])
  const over = await parseHotlist(file(MAX_LIST_ENTRIES + 1), options, async () => {})
  assert.equal([over.unusable, over.problems[0]?.line], [true, MAX_LIST_ENTRIES + 1])
})

test('a date is read in the stated format and in no other', () => {
  const as = (format: DateFormat, text: string, pivotYear = 0) => parseDateAs(text, 'start', { format, pivotYear })
  const day = Date.UTC(2026, 0, 31)
  assert.is(as('YYYY-MM-DD', '2026-01-31'), day)
  assert.is(as('YYYYMMDD', '20260131'), day)
  assert.is(as('MM/DD/YYYY', '01/31/2026'), day)
  assert.is(as('DD/MM/YYYY', '31/01/2026'), day)
  assert.is(as('DD.MM.YYYY', '31.01.2026'), day)
  assert.is(as('MMDDYYYY', '01312026'), day)
  assert.is(as('DDMMYYYY', '31012026'), day)
  assert.is(as('MMDDYY', '013126', 27), day)
  assert.is(as('DDMMYY', '310126', 27), day)
  assert.is(as('YYMMDD', '260131', 27), day)
  assert.is(as('YYMMDD', '260131', 26), Date.UTC(2020, 0, 1), '1926, and no entry begins before 2020')
  assert.is(as('YYYYMMDD', ''), null)
  for (const text of [
    '2026-01-31',
    '1/31/2026',
    '13/01/2026',
    '02/30/2026',
    '01-31-2026',
    'aa/bb/cccc',
    '01/31/2026 ',
  ]) {
    assert.is(as('MM/DD/YYYY', text), undefined, text)
  }
})

test.run()
