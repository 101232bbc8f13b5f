/** What a database holds after a migration that fails. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AppError } from '../../shared/errors.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { type Migration, migrate } from './migrate.ts'

const named = (number: number, sql: string | string[]): Migration => ({ number, name: `m${number}`, sql })
const GOOD = [named(2, 'CREATE TABLE b (x)'), named(1, ['CREATE TABLE a (x)', 'INSERT INTO a VALUES (1)'])]
const BAD = named(4, ['CREATE TABLE d (x)', 'INSERT INTO nowhere VALUES (1)'])

function inDatabase(work: (run: (migrations: Migration[]) => void, held: () => unknown[]) => void): void {
  const connection = openDatabase(':memory:')
  const held = () =>
    connection
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_migrations' ORDER BY name")
      .pluck()
      .all()
      .concat(connection.prepare('SELECT number FROM schema_migrations ORDER BY number').pluck().all())
  try {
    work((migrations) => migrate(connection, 1, migrations), held)
  } finally {
    connection.close()
  }
}

test('a new database gets all migrations, in their order, or none', () => {
  inDatabase((run, held) => {
    assert.throws(() => run([...GOOD, BAD]), /nowhere/)
    assert.equal(held(), [])
    run(GOOD)
    assert.equal(held(), ['a', 'b', 1, 2])
  })
})

test('an upgrade keeps each that is at its end, and takes up behind it', () => {
  inDatabase((run, held) => {
    run(GOOD)
    const third = named(3, 'CREATE TABLE c (x)')
    assert.throws(() => run([...GOOD, BAD, third]), /nowhere/)
    assert.equal(held(), ['a', 'b', 'c', 1, 2, 3])
    run([...GOOD, third, named(4, 'CREATE TABLE d (x)')])
    assert.equal(held(), ['a', 'b', 'c', 'd', 1, 2, 3, 4])
  })
})

test('a database of a newer Candor is left as it is', () => {
  inDatabase((run, held) => {
    run(GOOD)
    try {
      run(GOOD.slice(1))
      assert.unreachable()
    } catch (thrown) {
      assert.is((thrown as AppError).code, 'configuration')
    }
    assert.equal(held(), ['a', 'b', 1, 2])
  })
})

test.run()
