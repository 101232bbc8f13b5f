/** What an outbox does on a disk that is full, over stops and starts. */
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inFolder, ownFileSystem, withFileSystem } from '../../shared/testing.ts'
import { RESERVE_BYTES } from './reserve.ts'

const NOW = 1_790_000_000_000

const urlOf = (path: string) => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)))
/** Fills the disk after a clean close, as often as it is told, and starts again in between. */
const STARTER = `
  import { closeSync, openSync, statfsSync, statSync, writeSync } from 'node:fs'
  import { join } from 'node:path'
  import { lockFolder } from ${urlOf('../folder-lock.ts')}
  import { openDatabase } from ${urlOf('../../shared/sqlite.ts')}
  import { openOutbox } from ${urlOf('./outbox.ts')}
  import { makeReserve, openWithReserve, reserveOf, useReserveIfFull } from ${urlOf('./reserve.ts')}
  const folder = process.argv[1]
  const file = join(folder, 'outbox.db')
  const reserve = reserveOf(file)
  let n = 0
  const fill = () => {
    const filler = openSync(join(folder, 'filler'), 'a')
    try { for (;;) writeSync(filler, Buffer.alloc(4096)) } catch {}
    closeSync(filler)
  }
  const live = (puts) => {
    const lock = openWithReserve(reserve, () => lockFolder(folder))
    useReserveIfFull(reserve)
    const lists = openDatabase(join(folder, 'lists.db'))
    const outbox = openOutbox({ file, maxRows: 1e6, maxBytes: 1e9, clock: { nowMs: () => ${NOW} } })
    for (let i = 0; i < puts; i += 1, n += 1)
      outbox.put({ sightingId: 's' + n, revision: 1, matched: false, capturedAtMs: ${NOW}, clock: 'synced', payload: Buffer.alloc(2000, 1) }, Buffer.alloc(20000, 2))
    outbox.checkpoint()
    const told = { rows: outbox.rows, ...outbox.counters() }
    outbox.close()
    lists.close()
    lock.close()
    makeReserve(reserve)
    return told
  }
  const first = live(40)
  const rounds = []
  for (let round = 0; round < 8; round += 1) {
    fill()
    const free = statfsSync(folder).bavail
    rounds.push({ free, ...live(5), reserve: statSync(reserve).size })
  }
  process.stdout.write(JSON.stringify({ first, rounds }))`

withFileSystem(
  'a unit whose disk is full starts again after an orderly stop, and again, and new rows take the place of pictures',
  () => {
    inFolder((folder) => {
      const script = `mount -t tmpfs -o size=6m tmpfs ${folder} && exec "$@"`
      const run = ownFileSystem(
        script,
        ...[process.execPath, '--import', 'tsx', '--input-type=module', '-e', STARTER, folder],
      )
      assert.is(run.stderr, '')
      const { first, rounds } = JSON.parse(run.stdout)
      assert.is(first.rows, 80)
      for (const [index, round] of rounds.entries()) {
        assert.is(round.free, 0)
        assert.is(round.lost + round.evictedSightings, 0, JSON.stringify(round))
        assert.is(round.rows + round.evictedCrops, 80 + 10 * (index + 1))
        assert.ok(round.reserve > RESERVE_BYTES / 8, JSON.stringify(round))
      }
      assert.ok(rounds.at(-1).evictedCrops > 0)
    })
  },
)

/** A camera with a link: each vehicle is acknowledged as it comes, so that nothing waits that could be dropped. */
const LINKED = `
  import { closeSync, openSync, statfsSync, writeSync } from 'node:fs'
  import { join } from 'node:path'
  import { lockFolder } from ${urlOf('../folder-lock.ts')}
  import { openOutbox } from ${urlOf('./outbox.ts')}
  import { makeReserve, openWithReserve, reserveOf, useReserveIfFull } from ${urlOf('./reserve.ts')}
  const [folder, leftBytes] = [process.argv[1], Number(process.argv[2])]
  const file = join(folder, 'outbox.db')
  const reserve = reserveOf(file)
  const all = { unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: true }
  let n = 0
  const open = () => {
    const lock = openWithReserve(reserve, () => lockFolder(folder))
    useReserveIfFull(reserve)
    return { lock, outbox: openOutbox({ file, maxRows: 1e6, maxBytes: 1e9, clock: { nowMs: () => ${NOW} } }) }
  }
  const close = ({ lock, outbox }) => { outbox.close(); lock.close(); makeReserve(reserve) }
  const ticks = ({ outbox }) => {
    for (let tick = 0; tick < 5; tick += 1) {
      for (let i = 0; i < 10; i += 1, n += 1) {
        try {
          outbox.put({ sightingId: 's' + n, revision: 1, matched: i % 2 === 0, capturedAtMs: ${NOW}, clock: 'synced', payload: Buffer.alloc(2000, 1) }, Buffer.alloc(20000, 2))
        } catch {}
        outbox.remove(outbox.oldest(100, new Set(), all, false).map(({ rowId }) => rowId))
      }
      outbox.checkpoint()
    }
    return outbox.counters().lost
  }
  const fill = () => {
    const filler = openSync(join(folder, 'filler'), 'a')
    try { while (statfsSync(folder).bavail * 4096 > leftBytes) writeSync(filler, Buffer.alloc(4096)) } catch {}
    closeSync(filler)
  }
  const lost = []
  let camera = open()
  lost.push(ticks(camera))
  fill()
  lost.push(ticks(camera))
  for (let start = 0; start < 3; start += 1) {
    close(camera)
    fill()
    camera = open()
    lost.push(ticks(camera))
  }
  close(camera)
  process.stdout.write(JSON.stringify(lost))`

for (const leftKib of [0, 400, 900, 1_600]) {
  withFileSystem(
    `with a link no vehicle is lost on a disk with ${leftKib} KiB left, nor after starts on it: nothing waits that could make room`,
    () => {
      inFolder((folder) => {
        const script = `mount -t tmpfs -o size=8m tmpfs ${folder} && exec "$@"`
        const run = ownFileSystem(
          script,
          ...[
            process.execPath,
            '--import',
            'tsx',
            '--input-type=module',
            '-e',
            LINKED,
            folder,
            String(leftKib * 1_024),
          ],
        )
        assert.is(run.stderr, '')
        assert.equal(JSON.parse(run.stdout), [0, 0, 0, 0, 0])
      })
    },
  )
}

test.run()
