import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openDatabase } from '../../shared/sqlite.ts'
import { keepPrepared, MAX_PARAMETERS_OF_SMALL, MAX_PREPARED, MAX_PREPARED_LARGE } from './prepared.ts'

function inDatabase(work: (run: (sql: string, parameters: number) => unknown, compiled: string[]) => void): void {
  const connection = openDatabase(':memory:')
  const compiled: string[] = []
  const prepare = keepPrepared((sql) => {
    compiled.push(sql)
    return connection.prepare(sql)
  })
  try {
    work((sql, parameters) => prepare(sql, parameters).all(...Array.from({ length: parameters }, () => 1)), compiled)
  } finally {
    connection.close()
  }
}

const withParameters = (count: number) => `SELECT 1 WHERE 1 IN (${Array.from({ length: count }, () => '?').join()})`

test('a statement is compiled once, up to the number that is kept; one more takes the place of the oldest', () => {
  inDatabase((run, compiled) => {
    for (let round = 0; round < 2; round++) for (let i = 0; i < MAX_PREPARED; i++) run(`SELECT ${i}`, 0)
    assert.is(compiled.length, MAX_PREPARED)
    run('SELECT -1', 0)
    run('SELECT 1', 0)
    assert.is(compiled.length, MAX_PREPARED + 1)
    run('SELECT 0', 0)
    assert.is(compiled.length, MAX_PREPARED + 2)
  })
})

test('lists of ever another length take the place of each other only', () => {
  inDatabase((run, compiled) => {
    run(withParameters(MAX_PARAMETERS_OF_SMALL), MAX_PARAMETERS_OF_SMALL)
    for (let more = 1; more <= MAX_PREPARED_LARGE + 1; more++) {
      run(withParameters(MAX_PARAMETERS_OF_SMALL + more), MAX_PARAMETERS_OF_SMALL + more)
    }
    const before = compiled.length
    run(withParameters(MAX_PARAMETERS_OF_SMALL), MAX_PARAMETERS_OF_SMALL)
    run(withParameters(MAX_PARAMETERS_OF_SMALL + 2), MAX_PARAMETERS_OF_SMALL + 2)
    assert.is(compiled.length, before, 'the small one and the last large ones are kept')
    run(withParameters(MAX_PARAMETERS_OF_SMALL + 1), MAX_PARAMETERS_OF_SMALL + 1)
    assert.is(compiled.length, before + 1, 'the oldest large one is not')
  })
})

test.run()
