import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ImportReply } from '../../cloud/api/list-imports.ts'
import { describeReport } from './hotlist-report.ts'

const REPLY: ImportReply = {
  ...{
    list: 'stolen',
    applied: false,
    version: null,
    notApplied: 'dry run',
    pendingVersion: null,
    needsApproval: false,
  },
  ...{
    rows: 10,
    good: 10,
    bad: 0,
    prohibited: 0,
    patterns: 0,
    problems: [],
    problemKinds: [],
    unusable: false,
    warnings: [],
  },
  ...{ mapping: null, columns: [{ column: 'LIC', field: 'plate' }], leftOutColumns: [], unknownColumns: [] },
  sourceSha256: '0'.repeat(64),
  difference: { added: 1, unchanged: 9, changed: 0, removed: 0, ended: 0 },
}
const COMMAND = ['candor', 'hotlist', 'import', 'a b’s.csv', '--list', 'stolen']
const told = (more: Partial<ImportReply>, isDryRun = true) => describeReport({ ...REPLY, ...more }, COMMAND, isDryRun)

test('a dry run tells all that a person needs to decide, and ends with the command that applies it', () => {
  assert.is(
    told({
      ...{ mapping: 'county', leftOutColumns: ['VIN'], unknownColumns: ['red\u001b[31m'], needsApproval: true },
      ...{ rows: 113, good: 10, bad: 102, prohibited: 1 },
      notApplied: '102 bad rows; nothing is applied by half',
      problems: [{ line: 3, problem: 'no plate' }],
      problemKinds: [
        { problem: 'priority: wrong', rows: 2 },
        { problem: 'no plate', rows: 100 },
      ],
      difference: { added: 1, unchanged: 2, changed: 7, removed: 5, ended: 3 },
    }),
    `Read by the mapping county:
  column  taken as
  LIC     plate
Columns left out: VIN.
Columns not known, and left out: red\\x1b[31m.

Problems:
  rows  problem
  100   no plate
  2     priority: wrong
  line 3: no plate
  and 101 more

113 rows: 10 good, 102 bad, 1 of a prohibited category dropped.

Beside what is in force: 1 added, 5 removed, 7 changed (3 over by their dates), 2 unchanged.

Nothing applied: 102 bad rows; nothing is applied by half.
To apply it (most of the list would go: a second person must approve it then):
  candor hotlist import 'a b’s.csv' --list stolen --skip-bad
`,
  )
})

test('the command to apply a file says what it must, and a file that cannot be applied has none', () => {
  assert.match(told({}), /\n {2}candor hotlist import 'a b’s.csv' --list stolen\n$/)
  assert.match(told({ good: 0, notApplied: 'the file has no entry' }), /--list stolen --allow-empty\n$/)
  const none = told({ unusable: true, notApplied: 'the file cannot be used', columns: [] })
  assert.is(none, '10 rows: 10 good, 0 bad.\n\nNothing applied: the file cannot be used.\n')
  assert.not.match(told({ notApplied: 'more than 5 entries in all lists together' }), /To apply/)
  assert.not.match(told({ notApplied: 'half' }, false), /To apply/)
  assert.match(told({ applied: true, version: 3 }, false), /stolen is at version 3 with 10 entries\.\n$/)
})

test('a name that a shell would act on is quoted', () => {
  const command = ['candor', 'hotlist', 'import', "it's; rm $HOME.csv", '--list', 'stolen']
  assert.match(describeReport(REPLY, command, true), /import 'it'\\''s; rm \$HOME\.csv' --list/)
})

test.run()
