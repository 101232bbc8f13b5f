import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { installationFolder } from '../shared/version.ts'
import { configTable, readmeWithTables, withTable } from './config-table.ts'

test('a table row has path, range, default and description', () => {
  const schema = z.strictObject({
    port: z.int().min(1).max(65_535).default(8_443).describe('where it listens'),
    outbox: z.strictObject({ maxRows: z.int().min(1).max(9) }),
  })
  const table = configTable(schema)
  assert.match(table, '| `port` | integer 1–65535 | `8443` | where it listens |')
  assert.match(table, '| `outbox.maxRows` | integer 1–9 | required |  |')
})

test('a README without markers is an error, not silence', () => {
  assert.throws(() => withTable('# x', 'edge', 't'), /no <!-- configuration: edge -->/)
})

test('the tables in the README are those of the schemas', async () => {
  const readme = readFileSync(join(installationFolder(), 'README.md'), 'utf8')
  assert.is(await readmeWithTables(readme), readme, 'run: node --import tsx scripts/config-table.ts')
})

test.run()
