import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { codeOf } from '../testing.ts'
import { PLANT_STEP_ENTRIES, proveConsistency, proveInclusion, readFrontier, readHashes, rootAt } from './nodes.ts'
import { checkpointText, logKey, openCheckpoint, originOf } from './note.ts'
import { AGENCY, inLogWorld, type LogWorld, RECORD, seededRandom } from './testing.ts'
import { isConsistent, rootFromInclusion, rootOf } from './tree.ts'

const ORIGIN = originOf(AGENCY)

function opened(world: LogWorld, note: string) {
  return openCheckpoint(note, logKey(ORIGIN, world.signer.publicKeyPem))
}

/** The head as a version of the software left it that knew no tree. */
function withoutCheckpoint(world: LogWorld): void {
  const { checkpoint: _, ...envelope } = JSON.parse(readFileSync(world.headFile, 'utf8')) as Record<string, unknown>
  writeFileSync(world.headFile, JSON.stringify(envelope))
}

test('after groups of random sizes the stored tree and each checkpoint are those of all hashes computed anew', async () => {
  const { seed, below } = seededRandom(process.env.CANDOR_SEED)
  await inLogWorld(async (world) => {
    let { audit, database, close } = await world.open()
    for (let size = 0; size < 620; ) {
      const count = 1 + below(120)
      await Promise.all(Array.from({ length: count }, () => audit.append(RECORD)))
      size += count
      const hashes = await readHashes(database, 0, 0, size)
      const root = rootOf(hashes)
      const { note: _, ...checkpoint } = opened(world, await audit.checkpoint())
      assert.equal(checkpoint, { origin: ORIGIN, size, root }, `seed ${seed}`)
      assert.ok((await readFrontier(database, size)).root().equals(root), `seed ${seed}`)
      const before = below(size + 1)
      const old = { size: before, root: await rootAt(database, before) }
      assert.ok(old.root.equals(rootOf(hashes.slice(0, before))), `seed ${seed}`)
      assert.ok(isConsistent(old, { size, root }, await proveConsistency(database, before, size)), `seed ${seed}`)
      const seq = 1 + below(size)
      const proof = await proveInclusion(database, seq, size)
      assert.ok(rootFromInclusion(seq - 1, size, hashes[seq - 1] as Buffer, proof)?.equals(root), `seed ${seed}`)
      if (below(3) > 0) continue
      await close()
      ;({ audit, database, close } = await world.open())
    }
    await close()
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.note === null, JSON.stringify(verdict))
  })
})

test('two processes that append in turns sign one tree', async () => {
  await inLogWorld(async (world) => {
    const one = await world.open()
    const two = await world.open()
    for (let i = 0; i < 4; i++) {
      await Promise.all(Array.from({ length: 90 }, () => one.audit.append(RECORD)))
      await two.audit.append(RECORD)
    }
    assert.is(opened(world, await one.audit.checkpoint()).size, 364)
    assert.is(await one.audit.checkpoint(), await two.audit.checkpoint())
    await one.close()
    await two.close()
    assert.ok((await world.verify()).ok)
  })
})

test('a long log from before there was a tree gets it at the first start, a step a turn of the event loop', async () => {
  await inLogWorld(async (world) => {
    world.fill(3_000, { tree: false })
    const before = await world.verify()
    assert.ok(before.ok && before.note !== null, 'such a log verifies, and says that it has no tree')
    let turns = 0
    const sleep: typeof systemClock.sleep = (ms, signal) => {
      turns += 1
      return systemClock.sleep(ms, signal)
    }
    const { audit, database, close } = await world.open({ ...systemClock, sleep })
    // The event loop has its turn after each step.
    assert.ok(turns >= Math.floor(3_000 / PLANT_STEP_ENTRIES), `${turns} turns`)
    const { size, root } = opened(world, await audit.checkpoint())
    assert.is(size, 3_000)
    assert.ok(root.equals(rootOf(await readHashes(database, 0, 0, 3_000))))
    assert.is((await readHashes(database, 1, 0, 11)).length, 11)
    assert.is((await audit.append(RECORD)).seq, 3_001)
    await close()
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.note === null && before.ok && verdict.root !== before.root)
  })
})

test('a log that is not what its head signed gets no tree, and no checkpoint', async () => {
  for (const sql of [
    "UPDATE audit_entries SET bytes = CAST(replace(bytes, 'Elm', 'Oak') AS BLOB) WHERE seq = 7",
    'DELETE FROM audit_entries WHERE seq > 400',
    'DELETE FROM audit_entries WHERE seq < 4',
  ]) {
    await inLogWorld(async (world) => {
      world.fill(600, { tree: false })
      world.tamper((sqlite) => sqlite.exec(sql))
      const head = readFileSync(world.headFile, 'utf8')
      assert.is(await codeOf(() => world.open()), 'integrity', sql)
      assert.is(readFileSync(world.headFile, 'utf8'), head)
      assert.not((await world.verify()).ok)
    })
  }
})

test('a tree that was cut off while it was made is made at the next start', async () => {
  await inLogWorld(async (world) => {
    world.fill(600)
    withoutCheckpoint(world)
    world.tamper((sqlite) => sqlite.exec('DELETE FROM audit_nodes WHERE position = 1'))
    assert.ok((await world.verify()).ok, 'until then nothing is wrong with it')
    const { close } = await world.open()
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('a changed, missing or added hash of the tree is found, and nothing is signed over it', async () => {
  for (const [sql, opens] of [
    ['UPDATE audit_nodes SET hash = zeroblob(32) WHERE position = 1', false],
    ['DELETE FROM audit_nodes WHERE position = 0', false],
    ['INSERT INTO audit_nodes VALUES (1, 2, zeroblob(32))', true],
    ['INSERT INTO audit_nodes VALUES (0, 0, zeroblob(32))', true],
  ] as const) {
    await inLogWorld(async (world) => {
      world.fill(600)
      assert.ok((await world.verify()).ok)
      world.tamper((sqlite) => sqlite.exec(sql))
      assert.match(JSON.stringify(await world.verify()), /"ok":false.*hash \d+ of level \d/)
      if (!opens) assert.is(await codeOf(() => world.open()), 'integrity', sql)
    })
  }
})

test('a running log whose head loses its checkpoint, or gets that of another tree, refuses', async () => {
  await inLogWorld(async (world) => {
    const { audit, close } = await world.open()
    await audit.append(RECORD)
    const good = readFileSync(world.headFile, 'utf8')
    withoutCheckpoint(world)
    assert.is(await codeOf(() => audit.append(RECORD)), 'integrity')
    assert.is(await codeOf(() => audit.checkpoint()), 'integrity')
    const { checkpoint } = JSON.parse(good) as { checkpoint: string }
    const { root } = opened(world, checkpoint)
    const bent = checkpoint.replace(checkpointText({ origin: ORIGIN, size: 1, root }), () =>
      checkpointText({ origin: ORIGIN, size: 1, root: Buffer.alloc(32, 1) }),
    )
    writeFileSync(world.headFile, JSON.stringify({ ...JSON.parse(good), checkpoint: bent }))
    assert.is(await codeOf(() => audit.append(RECORD)), 'integrity')
    assert.match(JSON.stringify(await world.verify()), /signature does not verify/)
    writeFileSync(world.headFile, good)
    assert.is((await audit.append(RECORD)).seq, 2)
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('the database itself refuses to change or delete a hash of the tree', async () => {
  await inLogWorld(async (world) => {
    world.fill(300)
    const { database, close } = await world.open()
    const level = database.build.updateTable('audit_nodes').set({ hash: Buffer.alloc(32) })
    for (const statement of [
      level,
      database.build.deleteFrom('audit_nodes'),
      database.build.replaceInto('audit_nodes').values({ level: 1, position: 0, hash: Buffer.alloc(32) }),
    ]) {
      assert.is.not(await codeOf(() => database.writeBatch([statement])), 'none')
    }
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test.run()
