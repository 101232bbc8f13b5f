import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import { createImports, type ImportStep, MAX_KNOWN_IMPORTS } from './progress.ts'
import { inWorld, plates, rejects } from './testing.ts'

const many = (from: number, to: number) => plates(...Array.from({ length: to - from }, (_, i) => `P${from + i}00`))

const imports = () => createImports<string>({ clock: { nowMs: () => 7 } })

test('a running import tells its step, a finished one what it was answered, a failed one why', async () => {
  const known = imports()
  assert.is(known.of('stolen'), null)
  const reply = await known.follow('stolen', 'a', async (onStep) => {
    onStep({ phase: 'reading', done: 5, total: 10, rows: 2 })
    assert.equal(known.of('stolen'), {
      ...{ importId: 'a', list: 'stolen', startedAtMs: 7, state: 'running', reply: null, failure: null },
      ...{ phase: 'reading', done: 5, total: 10, rows: 2 },
    })
    return 'applied'
  })
  assert.is(reply, 'applied')
  const fail = (code: 'storage_full' | 'internal', id: string) =>
    known.follow('stolen', id, async () => {
      throw new AppError(code, 'where it broke', { hint: 'make room' })
    })
  await rejects(fail('storage_full', 'b'), 'storage_full')
  await rejects(fail('internal', 'c'), 'internal')
  const told = ['a', 'b', 'c'].map((id) => known.of('stolen', id))
  assert.equal(
    told.map((one) => [one?.state, one?.reply, one?.failure?.message]),
    [
      ['done', 'applied', undefined],
      ['failed', null, 'where it broke'],
      ['failed', null, 'something went wrong in the cloud'],
    ],
  )
  assert.is(known.of('stolen')?.importId, 'c', 'the newest')
  assert.is(known.of('local', 'a'), null, 'of that list alone')
  await rejects(
    known.follow('stolen', 'a', async () => 'again'),
    'conflict',
  )
})

test('as many imports are known as may be; the oldest that is over makes room, a running one does not', async () => {
  const known = imports()
  let end = () => {}
  const running = known.follow('first', 'running', () => new Promise((resolve) => (end = () => resolve('late'))))
  for (let i = 1; i < MAX_KNOWN_IMPORTS; i++) await known.follow('stolen', `${i}`, async () => 'done')
  assert.is(known.of('stolen', '1')?.state, 'done')
  await known.follow('stolen', 'one more', async () => 'done')
  assert.is(known.of('stolen', '1'), null)
  assert.is(known.of('first')?.state, 'running')
  end()
  assert.is(await running, 'late')
})

test('so many imports on their way at once, and one more is told to come later', async () => {
  const known = imports()
  const ends: (() => void)[] = []
  const all = Array.from({ length: MAX_KNOWN_IMPORTS }, (_, i) =>
    known.follow('stolen', `${i}`, () => new Promise<string>((resolve) => ends.push(() => resolve('done')))),
  )
  await rejects(
    known.follow('stolen', 'more', async () => 'done'),
    'unavailable',
  )
  for (const end of ends) end()
  await Promise.all(all)
})

test('an import steps through its phases, and its file is read from the first byte to the last', async () => {
  await inWorld(async (world) => {
    const steps: ImportStep[] = []
    const csv = many(100, 1_300)
    const report = await world.import(csv, { onStep: (step) => steps.push({ ...step }) })
    assert.equal([report.applied, report.good], [true, 1_200])
    const phases = steps.map(({ phase }) => phase)
    assert.equal([...new Set(phases)], ['reading', 'digesting', 'publishing', 'clearing'])
    const reading = steps.filter(({ phase }) => phase === 'reading')
    assert.equal(
      reading.map(({ rows }) => rows),
      [250, 500, 750, 1_000, 1_200],
    )
    assert.ok(reading.every(({ done }, i) => i === 0 || done > (reading[i - 1]?.done ?? 0)))
    assert.equal(reading.at(-1)?.done, csv.length)
    const digesting = steps.filter(({ phase }) => phase === 'digesting')
    assert.equal(
      digesting.map(({ done, total }) => [done, total]),
      [
        [500, 1_200],
        [1_000, 1_200],
      ],
    )
    const dry: ImportStep[] = []
    await world.import(plates('ABC123'), { dryRun: true, onStep: (step) => dry.push({ ...step }) })
    assert.equal([...new Set(dry.map(({ phase }) => phase))], ['reading'])
  })
})

test('entries of which something is new are told apart from those that are as they were', async () => {
  await inWorld(async (world) => {
    const header = 'plate,category,priority,reason,effective,expires,match\n'
    await world.import(
      `${header}ABC123,,,,,,\nBCD234,,,,,,\nCDE345,,,,,,\nDEF456,,,,,,\nEFG567,,,,,,\nFGH678,,,,,,\nGHI789,,,,,,\n`,
    )
    const { difference } = await world.import(
      `${header}ABC123,,,,,,\nBCD234,x,,,,,\nCDE345,,1,,,,\nDEF456,,,x,,,\nEFG567,,,,2026-01-01,,\nFGH678,,,,,2090-01-01,\nHIJ890,,,,,,\n`,
      { dryRun: true },
    )
    assert.equal(difference, { added: 1, unchanged: 1, changed: 5, removed: 1, ended: 0 })
    const again = await world.import(`${header}GHI789,,,,,,near\nABC123,,,,,,exact\n`, { dryRun: true })
    assert.equal(again.difference, { added: 0, unchanged: 1, changed: 1, removed: 5, ended: 0 })
  })
})

test('a version that waits since before the changed were told apart is shown as having none', async () => {
  await inWorld(async (world) => {
    await world.import(many(100, 200))
    await world.import(many(100, 110))
    await world.database.writeBatch([
      world.database.build
        .updateTable('hotlist_versions')
        .set({
          pending: JSON.stringify({ settings: {}, difference: { added: 0, unchanged: 10, removed: 90, ended: 0 } }),
        })
        .where('version', '=', 2),
    ])
    const [list] = await world.hotlists.status()
    assert.equal(list?.pending[0]?.difference, { added: 0, unchanged: 10, changed: 0, removed: 90, ended: 0 })
  })
})

test.run()
