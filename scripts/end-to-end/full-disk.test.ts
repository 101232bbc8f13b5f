/** The whole camera (`runEdge`) on a disk that something else has filled: it starts again after an orderly stop. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, inCloud } from '../../cloud/testing.ts'
import { ownFileSystem, withFileSystem } from '../../shared/testing.ts'
import { enrol } from '../trial/link-testing.ts'
import { freePort } from '../trial/ports.ts'

const urlOf = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
const SCENE = fileURLToPath(new URL('../sample-scenes/pictures/scene-001.jpg', import.meta.url))

/** Pictures that wait from before, beside what the camera sees itself: so many that new ones take their place. */
const WAITING = 40

/** Two lives of one camera in one process, as after new settings; in between the disk is filled. */
const LIVES = `
  import { closeSync, openSync, statfsSync, writeSync } from 'node:fs'
  import { join } from 'node:path'
  import { loadEdgeConfig } from ${urlOf('../../edge/config.ts')}
  import { runEdge, systemDeps } from ${urlOf('../../edge/main.ts')}
  import { openOutbox } from ${urlOf('../../edge/outbox/outbox.ts')}
  import { systemClock } from ${urlOf('../../shared/clock.ts')}
  import { silentLog } from ${urlOf('../../shared/log.ts')}
  const config = loadEdgeConfig(process.argv[1], null)
  async function live() {
    const freeBlocks = statfsSync(config.dataFolder).bavail
    const camera = await runEdge(config, systemDeps(silentLog), new AbortController().signal)
    await camera.sourceEnded
    const { outbox, sightings } = camera.health()
    await camera.close()
    return { freeBlocks, outbox, sightings }
  }
  const first = await live()
  const outbox = openOutbox({ ...config.outbox, file: join(config.dataFolder, 'outbox.db'), clock: systemClock })
  const row = { revision: 1, matched: false, capturedAtMs: systemClock.nowMs(), clock: 'synced', payload: Buffer.alloc(500, 1) }
  for (let n = 0; n < ${WAITING}; n += 1) outbox.put({ ...row, sightingId: 's' + n }, Buffer.alloc(20000, 2))
  outbox.close()
  const filler = openSync(join(config.dataFolder, 'filler'), 'w')
  try { for (;;) writeSync(filler, Buffer.alloc(4096)) } catch {}
  closeSync(filler)
  process.stdout.write(JSON.stringify({ first, second: await live() }))`

withFileSystem(
  'a camera whose disk is full starts again after an orderly stop, and what it sees is stored in place of pictures',
  async () => {
    await inCloud(async (cloud) => {
      const folder = await enrol(cloud, 'north')
      const file = join(folder, 'edge.json')
      const config = {
        agency: AGENCY,
        cameraId: 'north',
        // Nobody is there: everything waits.
        broker: { url: `mqtts://localhost:${await freePort()}` },
        source: { kind: 'replay', path: SCENE },
        assumeClockSynced: true,
        track: { repeatWindowMs: 0 },
        vision: { frameTimeoutMs: 120_000 },
      }
      writeFileSync(file, JSON.stringify(config))
      mkdirSync(join(folder, 'data'))
      const run = ownFileSystem(
        `mount -t tmpfs -o size=6m tmpfs ${join(folder, 'data')} && exec "$@"`,
        ...[process.execPath, '--import', 'tsx', '--input-type=module', '-e', LIVES, file],
      )
      assert.is(run.status, 0, run.stderr)
      const { first, second } = JSON.parse(run.stdout)
      assert.ok(first.sightings.made > 0)
      assert.is(second.freeBlocks, 0)
      assert.is(second.sightings.made, first.sightings.made)
      const { rows, evicted } = second.outbox
      assert.equal([second.sightings.lost, evicted.sightings], [0, 0])
      assert.ok(evicted.crops > 0)
      assert.is(rows + evicted.crops, 2 * (first.outbox.rows + WAITING))
    })
  },
)

test.run()
