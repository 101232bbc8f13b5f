import { copyFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { codeOf } from '../testing.ts'
import { verifyCopy } from './copies.ts'
import { cosignatureOf, encodeWitnessSecret, logKey, originOf, parseNote, parseWitnessSecret } from './note.ts'
import { openPlace } from './place.ts'
import { publishLog } from './publish.ts'
import { openSource } from './source.ts'
import { AGENCY, inLogWorld, type LogWorld, RECORD } from './testing.ts'
import { witnessLog } from './witness.ts'

const NOW_MS = Date.parse('2026-02-03T04:05:06Z')
const SIGNER = parseWitnessSecret(encodeWitnessSecret('county.example/w1', Buffer.alloc(32, 5)))

const keyOf = (world: LogWorld) => logKey(originOf(AGENCY), world.signer.publicKeyPem)

async function publish(world: LogWorld, folder: string): Promise<void> {
  const { databaseFile: database, headFile: head, signer } = world
  const source = await openSource({ database, head, publicKeyPem: signer.publicKeyPem })
  await publishLog({ source, folder, entries: false, verifier: null }).finally(() => source.close())
}

const look = (world: LogWorld, folder: string, change: { key?: null; stateFile?: string } = {}) =>
  witnessLog({
    place: openPlace(folder),
    signer: SIGNER,
    stateFile: join(world.folder, 'witness', 'state.json'),
    key: keyOf(world),
    nowMs: NOW_MS,
    ...change,
  })

test('a witness cosigns a log that grows, by its tiles alone, and again when nothing has changed', async () => {
  await inLogWorld(async (world) => {
    const { audit, close } = await world.open()
    const folder = join(world.folder, 'public')
    let before = 0
    // Across the first tile, to its end, and with nothing new.
    for (const count of [1, 6, 249, 44, 0, 220]) {
      await Promise.all(Array.from({ length: count }, () => audit.append(RECORD)))
      await publish(world, folder)
      const done = await look(world, folder, before === 0 ? {} : { key: null })
      assert.equal([done.before, done.size, done.origin], [before, before + count, originOf(AGENCY)])
      assert.is(cosignatureOf(parseNote(done.note), SIGNER.key, NOW_MS)?.atMs, NOW_MS)
      before += count
    }
    await close()
    // The agency shows it beside the tiles, and an outsider who knows the witness finds it.
    const { note } = await look(world, folder)
    writeFileSync(join(folder, 'checkpoint.cosigned'), note)
    const check = { where: folder, key: keyOf(world), since: [] }
    const verdict = await verifyCopy({ ...check, witnesses: [SIGNER.key] })
    assert.equal(verdict.ok && verdict.witnesses, ['county.example/w1'])
    const stranger = parseWitnessSecret(encodeWitnessSecret('other.example', Buffer.alloc(32, 6)))
    const without = await verifyCopy({ ...check, witnesses: [stranger.key] })
    assert.match(JSON.stringify(without), /"ok":false.*other\.example has cosigned none/)
  })
})

test('a witness refuses a log that was cut, or rewritten, whoever signed it, and forgets nothing', async () => {
  await inLogWorld(async (world) => {
    const folder = join(world.folder, 'public')
    const again = join(world.folder, 'again')
    const state = join(world.folder, 'witness', 'state.json')
    world.fill(300)
    await publish(world, folder)
    await look(world, folder)
    const kept = readFileSync(state)
    for (const [size, reason] of [
      [299, undefined],
      [300, 'another past'],
      [310, 'another past'],
      [600, 'another past'],
    ] as const) {
      world.tamper((sqlite) => sqlite.exec('DELETE FROM audit_entries; DELETE FROM audit_nodes'))
      // Only the last entry that was seen is another one.
      world.fill(size, {
        change: (record, seq) => (seq === 300 && reason !== undefined ? { ...record, reason } : record),
      })
      rmSync(again, { recursive: true, force: true })
      await publish(world, again)
      assert.is(await codeOf(() => look(world, again)), 'integrity', `${size} ${reason}`)
      assert.equal(readFileSync(state), kept)
      assert.not(existsSync(`${state}.lock`))
    }
    assert.is((await look(world, folder)).size, 300, 'the true one is still cosigned')
  })
})

test('a witness wants to know whose log it is, once, and takes no other key for it later', async () => {
  await inLogWorld(async (world) => {
    const folder = join(world.folder, 'public')
    world.fill(3)
    await publish(world, folder)
    assert.is(await codeOf(() => look(world, folder, { key: null })), 'configuration')
    assert.is((await look(world, folder)).size, 3)
    assert.is((await look(world, folder, { key: null })).size, 3)
    await inLogWorld(async (other) => {
      other.fill(9)
      const theirs = join(other.folder, 'public')
      await publish(other, theirs)
      const stateFile = join(world.folder, 'witness', 'state.json')
      assert.is(await codeOf(() => look(other, theirs, { stateFile })), 'integrity')
      assert.is(await codeOf(() => look(other, theirs, { key: null, stateFile })), 'integrity')
    })
    assert.is(await codeOf(() => look(world, join(world.folder, 'nowhere'))), 'not_found')
  })
})

test('a witness whose state is damaged, or that runs already, signs nothing', async () => {
  await inLogWorld(async (world) => {
    const folder = join(world.folder, 'public')
    const state = join(world.folder, 'witness', 'state.json')
    world.fill(300)
    await publish(world, folder)
    await look(world, folder)
    writeFileSync(`${state}.lock`, '')
    assert.is(await codeOf(() => look(world, folder)), 'conflict')
    rmSync(`${state}.lock`)
    const good = readFileSync(state, 'utf8')
    for (const bad of ['', '{}', good.slice(0, -9), good.replace('300', '301')]) {
      writeFileSync(state, bad)
      assert.is(await codeOf(() => look(world, folder)), 'integrity', bad)
    }
    writeFileSync(state, good)
    // Tiles that do not fit are no reason to sign either: the proof made of them does not hold.
    const bent = join(world.folder, 'bent')
    const { audit, close } = await world.open()
    await audit.append(RECORD)
    await close()
    cpSync(folder, bent, { recursive: true })
    await publish(world, bent)
    copyFileSync(join(folder, 'tile/0/000'), join(bent, 'tile/0/001.p/45'))
    assert.is.not(await codeOf(() => look(world, bent)), 'none')
    assert.is(readFileSync(state, 'utf8'), good)
  })
})

test.run()
