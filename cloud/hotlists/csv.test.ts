import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  MAX_CASE_LENGTH,
  MAX_CATEGORY_LENGTH,
  MAX_COLUMNS,
  MAX_ENTRIES_PER_PLATE,
  MAX_PROBLEM_KINDS,
  MAX_REASON_LENGTH,
  MAX_REPORTED_PROBLEMS,
  MAX_ROW_BYTES,
  type ParseReport,
  parseHotlist,
  ROWS_PER_BATCH,
} from './csv.ts'
import { parseDate } from './fields.ts'
import type { HotlistRow } from './list-row.ts'

async function parse(text: string | Uint8Array): Promise<ParseReport & { got: HotlistRow[]; batches: number[] }> {
  const got: HotlistRow[] = []
  const batches: number[] = []
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  const report = await parseHotlist(bytes, { rule: 'exact', priority: 3, prohibited: [] }, async (rows) => {
    got.push(...rows)
    batches.push(rows.length)
  })
  return { ...report, got, batches }
}

async function problemOf(
  row: string,
  header = 'plate,jurisdiction,category,priority,reason,case,effective,expires,match',
) {
  const report = await parse(`${header}\n${row}\n`)
  return report.problems[0]?.problem ?? ''
}

test('a file with a byte order mark, CRLF, quotes and every column is read', async () => {
  const { got, bad, good } = await parse(
    '\uFEFFPlate,Jurisdiction,category,priority,reason,case,effective,expires,match\r\n' +
      '"abc-123",us-ca,"stolen, felony",1,"said ""armed""",24-001,2026-01-01,2026-01-31,near\r\n' +
      'b 77 xyz,,,,,,,,\r\n',
  )
  assert.is(bad, 0)
  assert.is(good, 2)
  assert.equal(got[0], {
    plate: 'ABC123',
    jurisdiction: 'US-CA',
    category: 'stolen, felony',
    priority: 1,
    rule: 'near',
    reason: 'said "armed"',
    caseNumber: '24-001',
    effectiveAtMs: Date.UTC(2026, 0, 1),
    expiresAtMs: Date.UTC(2026, 1, 1),
  })
  assert.equal(got[1], {
    plate: 'B77XYZ',
    jurisdiction: null,
    category: '',
    priority: 3,
    rule: 'exact',
    reason: null,
    caseNumber: null,
    effectiveAtMs: null,
    expiresAtMs: null,
  })
})

test('every NCIC field code is known: those with a place are taken, the others left out, and only strange columns are reported', async () => {
  const { got, columns, leftOutColumns, unknownColumns } = await parse(
    'LIC,LIS,MKE,OCA,MIS,LIY,LIT,VIN,VYR,VMA,VMO,VST,VCO,DOT,ORI,NIC,XYZ\n' +
      'ABC123,CA,EV,24-1,SEEN ARMED,2026,PC,1HG,2020,HOND,CIV,4D,BLK,20260101,CA0010000,V1,?\n' +
      'BCD234,ON,EV,24-2,,,,,,,,,,,,,\n',
  )
  assert.equal(unknownColumns, ['XYZ'])
  assert.equal(leftOutColumns, ['LIY', 'LIT', 'VIN', 'VYR', 'VMA', 'VMO', 'VST', 'VCO', 'DOT', 'ORI', 'NIC'])
  assert.equal(
    columns.map(({ column, field }) => `${column} ${field}`),
    ['LIC plate', 'LIS state', 'MKE category', 'OCA case', 'MIS reason'],
  )
  assert.equal(
    got.map((row) => [row.plate, row.jurisdiction, row.category, row.caseNumber, row.reason]),
    [
      ['ABC123', 'US-CA', 'EV', '24-1', 'SEEN ARMED'],
      ['BCD234', 'CA-ON', 'EV', '24-2', null],
    ],
  )
})

for (const [name, delimiter] of [
  ['semicolons', ';'],
  ['tabs', '\t'],
  ['pipes', '|'],
  ['commas', ','],
] as const) {
  test(`${name} are found out as the delimiter`, async () => {
    const { got } = await parse(`plate${delimiter}"rea,;|son"${delimiter}case\nABC123${delimiter}x${delimiter}24-1\n`)
    assert.is(got[0]?.caseNumber, '24-1')
  })
}

test('a file without a plate column, an empty file and no text at all are unusable', async () => {
  const none = await parse('number,state\nABC123,CA\n')
  assert.ok(none.unusable)
  assert.match(none.problems[0]?.problem ?? '', /no column `plate`/)
  assert.is(none.problems[0]?.line, 1)
  for (const bytes of ['', '\n\n', '\uFEFF', Buffer.from([0xff, 0xfe, 0x41, 0x00]), Buffer.from('plate\nAB\0C\n')]) {
    const report = await parse(bytes)
    assert.ok(report.unusable)
    assert.is(report.got.length, 0)
  }
  assert.ok((await parse('plate,LIC\nABC123,ABC123\n')).unusable, 'two columns for one field')
  assert.not((await parse('plate\n')).unusable, 'a header alone is a list of none')
})

test('each bad row is reported with the line where it begins', async () => {
  const { problems, good, bad, rows } = await parse(
    'plate,reason\n' + // 1
      'ABC123,fine\n' + // 2
      'A,too short\n' + // 3
      '\n' + // 4
      '"BCD234","two\nlines"\n' + // 5, 6
      'ABCDEFGHIJKLM,too long\n' + // 7
      '"AB€12","three\r\n\r\nlines"\n' + // 8, 9, 10
      ',none\n' + // 11
      'CDE345\n' + // 12
      'DEF456,a,b\n', // 13
  )
  assert.equal(
    problems.map((problem) => problem.line),
    [3, 7, 8, 11, 12, 13],
  )
  assert.is(good, 2)
  assert.is(bad, 6)
  assert.is(rows, 8)
})

test('problems are counted by their kind, also those that are not named, and so many kinds at most', async () => {
  const { problemKinds, problems } = await parse(
    `plate,case\n${'A,1\n'.repeat(MAX_REPORTED_PROBLEMS + 1)}ABC123,1\nABC123,1\nABC123,1\nBCD234\nCDE345,1,2\n`,
  )
  assert.is(problems.length, MAX_REPORTED_PROBLEMS)
  assert.equal(problemKinds, [
    { problem: 'not a plate: 2 to 12 letters and digits are needed', rows: MAX_REPORTED_PROBLEMS + 1 },
    { problem: 'the same plate, jurisdiction and case as in an earlier line', rows: 2 },
    { problem: 'not as many fields as the header', rows: 2 },
  ])
  assert.ok(problemKinds.length < MAX_PROBLEM_KINDS)
})

test('a problem never quotes a plate', async () => {
  const { problems } = await parse('plate,case\nABC!23,1\nBCD234,1\nBCD234,1\n')
  const broken = await parse('plate,case\n"CDE345"x,1\n')
  assert.is(problems.length + broken.problems.length, 3)
  assert.not.match(JSON.stringify([problems, broken.problems]), /ABC|BCD|CDE/)
})

test('a repeated plate is bad unless jurisdiction or case differ', async () => {
  const { problems, good } = await parse(
    'plate,jurisdiction,case\nABC123,,\nabc 123,,\nABC123,US-CA,\nABC123,,1\nABC123,,1\n',
  )
  assert.is(good, 3)
  assert.equal(problems, [
    { line: 3, problem: 'the same plate, jurisdiction and case as in line 2' },
    { line: 6, problem: 'the same plate, jurisdiction and case as in line 5' },
  ])
})

test('every wrong field is named', async () => {
  assert.match(await problemOf('ABC123,California,,,,,,,'), /jurisdiction/)
  assert.match(await problemOf('ABC123,ZZ', 'LIC,LIS'), /state/)
  assert.match(await problemOf('ABC123,,,0,,,,,'), /priority/)
  assert.match(await problemOf('ABC123,,,6,,,,,'), /priority/)
  assert.match(await problemOf('ABC123,,,1.5,,,,,'), /priority/)
  assert.match(await problemOf('ABC123,,,,,,31.1.2026,,'), /effective/)
  assert.match(await problemOf('ABC123,,,,,,,2026-02-30,'), /expires/)
  assert.match(await problemOf('ABC123,,,,,,2026-02-02,2026-02-01,'), /before/)
  assert.match(await problemOf('ABC123,,,,,,,,maybe'), /match/)
  assert.is(await problemOf('ABC123,US-CA,x,5,y,z,2026-02-01,2026-02-01,NEAR'), '')
})

test('texts at their limit are taken and one character more is bad', async () => {
  const row = (category: number, reason: number, caseNumber: number) =>
    `ABC123,,${'c'.repeat(category)},,${'r'.repeat(reason)},${'n'.repeat(caseNumber)},,,`
  assert.is(await problemOf(row(MAX_CATEGORY_LENGTH, MAX_REASON_LENGTH, MAX_CASE_LENGTH)), '')
  assert.match(await problemOf(row(MAX_CATEGORY_LENGTH + 1, 0, 0)), /category/)
  assert.match(await problemOf(row(0, MAX_REASON_LENGTH + 1, 0)), /reason/)
  assert.match(await problemOf(row(0, 0, MAX_CASE_LENGTH + 1)), /case/)
})

test('columns, row length and reported problems are bounded', async () => {
  const columns = (count: number) => ['plate', ...Array.from({ length: count - 1 }, (_, i) => `x${i}`)].join(',')
  assert.not((await parse(`${columns(MAX_COLUMNS)}\n`)).unusable)
  assert.ok((await parse(`${columns(MAX_COLUMNS + 1)}\n`)).unusable)
  const long = await parse(`plate,note\nABC123,${'x'.repeat(MAX_ROW_BYTES + 1)}\n`)
  assert.ok(long.unusable)
  assert.match(long.problems[0]?.problem ?? '', /longer than/)
  const many = await parse(`plate\n${'!\n'.repeat(MAX_REPORTED_PROBLEMS + 1)}`)
  assert.is(many.bad, MAX_REPORTED_PROBLEMS + 1)
  assert.is(many.problems.length, MAX_REPORTED_PROBLEMS)
})

test('broken quotes make a file unusable and say where', async () => {
  const open = await parse('plate\nABC123\n"BCD234\nCDE345\n')
  assert.ok(open.unusable)
  assert.match(open.problems[0]?.problem ?? '', /never closed/)
  const middle = await parse('plate,x\nABC123,a"b\n')
  assert.ok(middle.unusable)
  assert.match(middle.problems[0]?.problem ?? '', /middle of a field/)
  assert.is(middle.problems[0]?.line, 2)
})

test('immigration files are dropped and counted, not reported as bad', async () => {
  const { got, prohibited, bad } = await parse(
    'plate,category\nABC123,stolen\nBCD234,Immigration Violator\nCDE345,DEPORTED FELON\n',
  )
  assert.equal(
    got.map((row) => row.plate),
    ['ABC123'],
  )
  assert.is(prohibited, 2)
  assert.is(bad, 0)
})

test('rows come in batches of at most the named size', async () => {
  const rows = Array.from({ length: ROWS_PER_BATCH * 2 + 1 }, (_, i) => `P${i}`).join('\n')
  assert.equal((await parse(`plate\n${rows.replace(/P(\d)$/gm, 'P0$1')}`)).batches, [ROWS_PER_BATCH, ROWS_PER_BATCH, 1])
})

test('a day begins and ends at midnight UTC and far dates are brought in range', () => {
  assert.is(parseDate('20260131', 'start'), Date.UTC(2026, 0, 31))
  assert.is(parseDate('2026-01-31', 'end'), Date.UTC(2026, 1, 1))
  assert.is(parseDate('2026-01-31T08:00+01:00', 'end'), Date.UTC(2026, 0, 31, 7))
  assert.is(parseDate('9999-12-31', 'end'), Date.UTC(2100, 0, 1))
  assert.is(parseDate('1900-01-01', 'start'), Date.UTC(2020, 0, 1))
  assert.is(parseDate('1900-01-01', 'end'), undefined)
  assert.is(parseDate('2026-01-31T08:00', 'end'), undefined, 'a time without a zone')
  assert.is(parseDate('', 'end'), null)
})

test('a plate has so many entries and no more, and one that is there already is told by its line', async () => {
  const rows = (count: number) => Array.from({ length: count }, (_, n) => `ABC123,24-${n}`)
  const file = (...parts: string[][]) => `plate,case\n${parts.flat().join('\n')}\n`
  assert.is((await parse(file(rows(MAX_ENTRIES_PER_PLATE)))).bad, 0)
  const { bad, problems } = await parse(file(rows(MAX_ENTRIES_PER_PLATE + 1), ['ABC123,24-3', 'XYZ789,24-3']))
  assert.equal(
    [bad, ...problems],
    [
      2,
      { line: MAX_ENTRIES_PER_PLATE + 2, problem: `more than ${MAX_ENTRIES_PER_PLATE} entries of one plate` },
      { line: MAX_ENTRIES_PER_PLATE + 3, problem: 'the same plate, jurisdiction and case as in line 5' },
    ],
  )
})

test.run()
