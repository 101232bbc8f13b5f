import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, SECOND_MS, systemClock } from '../shared/clock.ts'
import { newSecret } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { CHUNK_BYTES, readArchive, readHeader, writeArchive } from './backup/archive.ts'
import { backupLifeMs, copyKeys, type DayKey, expiryOf, keyOfToday, listKeys } from './backup/day-keys.ts'
import { destroyExpiredKeys } from './backup/upkeep.ts'
import { listBackups, makeBackup, restoreBackup } from './backup.ts'
import { type CloudConfig, cloudConfigSchema, configBase } from './config.ts'
import { runCloud } from './main.ts'
import {
  AGENCY,
  codeOf,
  createMovableClock,
  inCloud,
  makeSighting,
  publishSighting,
  type TestCloud,
  until,
} from './testing.ts'

const CONFIG: CloudConfig = cloudConfigSchema.parse({
  ...{ agency: AGENCY, dataFolder: 'data', host: '127.0.0.1', mqttPort: 0, httpsPort: 0 },
})
const LIFE_MS = 30 * DAY_MS
const POLICY = {
  retention: { unmatchedDays: 30, matchedDays: 30, cropDays: 30, quarantineDays: 30 },
  unmatchedInMemory: false,
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-backup-'))
  try {
    await run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Of the cloud in `base`. */
async function backUp(folder: string, base = join(folder, 'old'), clock = systemClock) {
  const keys = join(folder, 'keys')
  const key = await keyOfToday(keys, { agency: AGENCY, nowMs: clock.nowMs(), lifeMs: LIFE_MS, newSecret })
  const into = join(folder, 'backups')
  const made = await makeBackup({ config: CONFIG, base, into, key, clock, newSecret, onProgress: () => {} })
  return { ...made, key, keys }
}

/** A cloud with an account, two audit entries and a backup made while it runs. */
async function withBackup(folder: string) {
  const cloud = await runCloud(CONFIG, join(folder, 'old'), { log: silentLog })
  try {
    await cloud.parts.accounts.addFirst({ account: 'ann', password: 'correct horse battery' })
    for (let i = 0; i < 2; i++) {
      await cloud.parts.audit.append({
        operation: 'test.entry',
        outcome: 'allowed',
        actor: { account: 'ann', roles: [], session: null, source: null },
      })
    }
    await cloud.parts.keyRotation.rotate({ retireNow: false })
    return await backUp(folder)
  } finally {
    await cloud.close()
  }
}

test('a cloud that is restored elsewhere knows its accounts, authority, audit and signing keys', async () => {
  await inFolder(async (folder) => {
    const { file, keys } = await withBackup(folder)
    const target = join(folder, 'new')
    await restoreBackup(file, target, keys)
    const config = cloudConfigSchema.parse(JSON.parse(readFileSync(join(target, 'cloud.json'), 'utf8')))
    const cloud = await runCloud(config, configBase(join(target, 'cloud.json')), { log: silentLog })
    try {
      assert.is((await cloud.parts.accounts.list())[0]?.account, 'ann')
      assert.is(cloud.caPem, readFileSync(join(folder, 'old', 'data', 'authority', 'ca.pem'), 'utf8'))
      const entries = await cloud.parts.audit.list({ before: null, limit: 10 })
      assert.is(entries.filter((entry) => entry.operation === 'test.entry').length, 2)
      assert.is(entries.filter((entry) => entry.operation === 'backup.restored').length, 1)
      const { signing } = cloud.parts.keys
      assert.equal([signing.version, signing.documents.length], [3, 2])
      const { seq } = await cloud.parts.audit.append({
        operation: 'test.entry',
        outcome: 'allowed',
        actor: { account: 'ann', roles: [], session: null, source: null },
      })
      assert.ok(seq > 2, 'the audit goes on where it was')
    } finally {
      await cloud.close()
    }
  })
})

test('a backup is one file for its owner alone, in which nothing can be read and no key of a day lies', async () => {
  await inFolder(async (folder) => {
    const { file, key, backup } = await withBackup(folder)
    assert.equal(readdirSync(join(folder, 'backups')).length, 1)
    assert.is(statSync(file).mode & 0o077, 0)
    for (const name of readdirSync(join(folder, 'keys')))
      assert.is(statSync(join(folder, 'keys', name)).mode & 0o077, 0)
    const bytes = readFileSync(file)
    for (const text of ['SQLite format 3', 'PRIVATE KEY', 'ann', key.key.toString('base64'), key.key]) {
      assert.is(bytes.includes(text), false, String(text))
    }
    const paths: string[] = []
    await readArchive(file, key.key, async ({ path, content }) => {
      paths.push(path)
      for await (const _ of content);
    })
    assert.is(paths.length, backup.files)
    assert.ok(paths.includes('candor.db') && paths.includes('authority/ca-key.pem'), String(paths))
    assert.not.ok(paths.some((path) => path.includes('backup')))
  })
})

test('a backup with any byte changed, cut off or added is refused, and nothing is restored', async () => {
  await inFolder(async (folder) => {
    const { file, keys } = await withBackup(folder)
    const whole = readFileSync(file)
    const refusedAs = async (bytes: Buffer) => {
      writeFileSync(file, bytes)
      const code = await codeOf(() => restoreBackup(file, join(folder, 'new'), keys))
      if (code !== 'none') assert.equal(readdirSync(join(folder, 'new')), [], 'nothing is left')
      return code
    }
    mkdirSync(join(folder, 'new'))
    // In the magic, the header, the first chunk, a middle one, the last tag.
    const headerEnd = 12 + whole.readUInt32BE(8)
    for (const at of [
      0,
      headerEnd - 10,
      headerEnd,
      headerEnd + CHUNK_BYTES + 20,
      whole.length >> 1,
      whole.length - 1,
    ]) {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ 1
      assert.match(await refusedAs(changed), /integrity|not_found/, String(at))
    }
    for (const length of [0, 4, headerEnd, headerEnd + CHUNK_BYTES + 16, whole.length - 1]) {
      assert.is(await refusedAs(whole.subarray(0, length)), 'integrity', `the first ${length} bytes`)
    }
    assert.is(await refusedAs(Buffer.concat([whole, Buffer.from('x')])), 'integrity')
    const [first, second] = [
      whole.subarray(headerEnd, headerEnd + CHUNK_BYTES + 16),
      whole.subarray(headerEnd + CHUNK_BYTES + 16),
    ]
    assert.is(
      await refusedAs(
        Buffer.concat([
          whole.subarray(0, headerEnd),
          second.subarray(0, first.length),
          first,
          second.subarray(first.length),
        ]),
      ),
      'integrity',
      'chunks exchanged',
    )
    assert.is(await refusedAs(whole), 'none')
  })
})

test('archives whose content ends at a chunk’s end, one byte before or after it, are read as they were written', async () => {
  await inFolder(async (folder) => {
    const key = Buffer.alloc(32, 7)
    const header = {
      ...{ format: 'candor-backup-2' as const, agency: AGENCY, madeAtMs: 1, software: 'x', day: '2026-11-28' },
      ...{ keyId: '0'.repeat(16), salt: newSecret(32) },
    }
    for (const [i, bytes] of [
      0,
      1,
      ...[-90, -3, -2, -1, 0, 1].map((more) => CHUNK_BYTES + more),
      3 * CHUNK_BYTES,
    ].entries()) {
      const path = join(folder, `${i}.candor-backup`)
      const content = Buffer.alloc(bytes, 'abc')
      async function* files() {
        yield {
          path: 'a',
          bytes,
          content: (async function* () {
            for (let at = 0; at < bytes; at += 1_000) yield content.subarray(at, at + 1_000)
          })(),
        }
      }
      await writeArchive(path, header, key, files(), async () => ({ auditSeq: 5 }))
      const read: Uint8Array[] = []
      const { trailer } = await readArchive(path, key, async (file) => {
        for await (const part of file.content) read.push(part)
      })
      assert.equal(trailer, { files: 1, auditSeq: 5 })
      assert.ok(Buffer.concat(read).equals(content), String(bytes))
      assert.is(await codeOf(() => readArchive(path, Buffer.alloc(32, 8), async () => {})), 'integrity', 'another key')
    }
    async function* short() {
      yield {
        path: 'a',
        bytes: 2,
        content: (async function* () {
          yield Buffer.from('x')
        })(),
      }
    }
    const path = join(folder, 'short.candor-backup')
    assert.is(await codeOf(() => writeArchive(path, header, key, short(), async () => ({ auditSeq: 0 }))), 'integrity')
    assert.not.ok(readdirSync(folder).some((name) => name.startsWith('short')))
  })
})

test('a backup is of one moment while sightings go on arriving', async () => {
  await inCloud(async (world) => {
    const camera = await world.connectCamera('elm-st-1', await world.addCamera('elm-st-1'))
    let running = true
    let stored = 0
    const traffic = (async () => {
      for (; running; stored += 1) await publishSighting(camera, makeSighting(world.clock))
    })()
    await until('some are stored', () => stored > 50)
    const atLeast = stored
    const { file, keys } = await backUp(world.folder, world.folder)
    running = false
    await traffic
    await restoreBackup(file, join(world.folder, 'new'), keys)
    const restored = openDatabase(join(world.folder, 'new', 'data', 'candor.db'))
    try {
      assert.is(restored.pragma('integrity_check', { simple: true }), 'ok')
      const count = Number(restored.prepare('SELECT count(*) FROM sightings').pluck().get())
      assert.ok(count >= atLeast && count <= stored, `${atLeast} ≤ ${count} ≤ ${stored}`)
    } finally {
      restored.close()
    }
    assert.is(await publishSighting(camera, makeSighting(world.clock)), 'acknowledged')
    await world.cloud.parts.database.truncateLog()
  })
})

test('what expired since the backup was made is deleted at the first start, before anybody is let in', async () => {
  await inFolder(async (folder) => {
    const made = await new Promise<Awaited<ReturnType<typeof backUp>>>((resolve, reject) => {
      inCloud(async (world) => {
        const camera = await world.connectCamera('elm-st-1', await world.addCamera('elm-st-1'))
        await publishSighting(camera, makeSighting(world.clock, { plate: 'GONE4711' }))
        world.clock.advance(20 * DAY_MS)
        await publishSighting(camera, makeSighting(world.clock, { plate: 'KEPT4712' }))
        // By the wall clock, so that the key's time is not over.
        resolve(await backUp(folder, world.folder))
      }).catch(reject)
    })
    const target = join(folder, 'new')
    await restoreBackup(made.file, target, made.keys)
    assert.ok(readdirSync(join(target, 'data')).includes('restored.json'))
    const later = createMovableClock()
    later.advance(31 * DAY_MS)
    const plates: (string | null)[][] = []
    const log = {
      ...silentLog,
      info: (name: string) => {
        if (name !== 'cloud_started') return
        const database = openDatabase(join(target, 'data', 'candor.db'), { readonly: true })
        plates.push(database.prepare('SELECT plate FROM sightings').pluck().all() as string[])
        database.close()
      },
    }
    const cloud = await runCloud(CONFIG, target, { log, clock: later })
    await cloud.close()
    assert.equal(plates, [['KEPT4712']], 'as it opened its doors')
    assert.not.ok(readdirSync(join(target, 'data')).includes('restored.json'))
  })
})

test('a key lives as configured, but no longer than anything on disk is kept, and serves its day alone', async () => {
  const life = (days: number, retention = {}, unmatchedInMemory = false) =>
    backupLifeMs(days, { retention: { ...POLICY.retention, ...retention }, unmatchedInMemory }) / DAY_MS
  assert.is(life(10), 10)
  assert.is(life(366), 30)
  assert.is(life(30, { cropDays: 7 }), 7)
  assert.is(life(30, { unmatchedDays: 0.002 }), 0.002)
  assert.is(
    life(30, { unmatchedDays: 0.002, quarantineDays: 0.002 }, true),
    30,
    'what is in memory only is in no backup',
  )
  await inFolder(async (keys) => {
    const noonMs = Date.parse('2026-11-28T12:00:00Z')
    const at = (nowMs: number, lifeMs = LIFE_MS) => keyOfToday(keys, { agency: AGENCY, nowMs, lifeMs, newSecret })
    const first = await at(noonMs)
    assert.equal(await at(noonMs + 12 * 3_600_000 - 1), first, 'the last millisecond of the day')
    assert.is.not((await at(noonMs + 12 * 3_600_000)).keyId, first.keyId)
    assert.is.not(
      (await at(noonMs + 1, 1)).keyId,
      first.keyId,
      'one whose time is over by the policy of now serves no more',
    )
    assert.is((await listKeys(keys)).length, 3)
    writeFileSync(join(keys, `2026-11-28-${first.keyId}.json`), '{}')
    assert.is(await codeOf(() => listKeys(keys)), 'integrity')
  })
})

test('a key is destroyed when its time is over and not before, with a receipt, and its backups cannot be read any more', async () => {
  await inFolder(async (folder) => {
    const { file, keys, key } = await withBackup(folder)
    const receipts: { operation: string }[] = []
    const destroy = (nowMs: number, lifeMs = LIFE_MS) =>
      destroyExpiredKeys({
        folder: keys,
        nowMs,
        lifeMs,
        audited: async (record, work) => {
          receipts.push(record)
          await work()
        },
      })
    assert.equal(await destroy(expiryOf(key, LIFE_MS) - 1), [])
    const [listed] = await listBackups(join(folder, 'backups'), keys, LIFE_MS)
    assert.equal([listed?.file, listed?.readableUntilMs], [file, key.madeAtMs + LIFE_MS])
    // The name stays when the file is gone: what lay there is looked at through it.
    const [name = ''] = readdirSync(keys)
    const { openSync, readSync, closeSync } = await import('node:fs')
    const before = openSync(join(keys, name), 'r')
    assert.equal(
      (await destroy(expiryOf(key, LIFE_MS))).map(({ keyId }) => keyId),
      [key.keyId],
    )
    const left = Buffer.alloc(statSync(file).size > 0 ? 512 : 0)
    const length = readSync(before, left, 0, left.length, 0)
    closeSync(before)
    assert.ok(length > 0 && left.every((byte) => byte === 0), 'overwritten')
    assert.equal(readdirSync(keys), [])
    assert.equal(receipts, [
      {
        operation: 'backup.key_destroyed',
        subject: { kind: 'backup_key', id: key.keyId },
        detail: {
          ...{ day: key.day, madeAt: new Date(key.madeAtMs).toISOString(), keySha256: key.sha256 },
          dueAt: new Date(key.madeAtMs + LIFE_MS).toISOString(),
        },
      },
    ])
    assert.is((await listBackups(join(folder, 'backups'), keys, LIFE_MS))[0]?.readableUntilMs, null)
    assert.is(await codeOf(() => restoreBackup(file, join(folder, 'new'), keys)), 'not_found')
    assert.is((await readHeader(file)).day, key.day)
  })
})

test('a shorter policy destroys keys at once; the cloud does so by itself, audited', async () => {
  await inCloud(async (world: TestCloud) => {
    const keys = join(world.folder, 'data', 'backup-keys')
    const made = (nowMs: number) => keyOfToday(keys, { agency: AGENCY, nowMs, lifeMs: LIFE_MS, newSecret })
    const old = await made(world.clock.nowMs() - 8 * DAY_MS)
    const young = await made(world.clock.nowMs() - 2 * DAY_MS)
    await world.cloud.parts.policy.change(1, { retention: { cropDays: 7 } }, 'test')
    await until('it is destroyed', async () => {
      world.clock.advance(60 * SECOND_MS)
      return readdirSync(keys).length === 1
    })
    assert.equal(
      (await listKeys(keys)).map(({ keyId }) => keyId),
      [young.keyId],
    )
    const [receipt] = await world.audited('backup.key_destroyed')
    assert.equal([receipt?.subject?.id, receipt?.detail.keySha256], [old.keyId, old.sha256])
  })
})

test('a medium kept elsewhere gets the keys that it lacks and loses those that are destroyed, and no others', async () => {
  await inFolder(async (folder) => {
    const [keys, medium] = [join(folder, 'keys'), join(folder, 'medium')]
    const startMs = Date.parse('2026-11-01T12:00:00Z')
    const made = (day: number, agency = AGENCY) =>
      keyOfToday(agency === AGENCY ? keys : medium, {
        agency,
        nowMs: startMs + day * DAY_MS,
        lifeMs: LIFE_MS,
        newSecret,
      })
    const ids = (list: readonly DayKey[]) => list.map(({ keyId }) => keyId)
    const [first, second] = [await made(0), await made(1)]
    const foreign = await made(0, 'shelbyville')
    assert.equal(ids((await copyKeys(keys, medium, AGENCY)).copied), [first.keyId, second.keyId])
    await destroyExpiredKeys({
      folder: keys,
      nowMs: startMs + LIFE_MS,
      lifeMs: LIFE_MS,
      audited: (_record, work) => work(),
    })
    const third = await made(2)
    const { copied, destroyed } = await copyKeys(keys, medium, AGENCY)
    assert.equal([ids(copied), ids(destroyed)], [[third.keyId], [first.keyId]])
    assert.equal(ids(await listKeys(medium)).sort(), [foreign.keyId, second.keyId, third.keyId].sort())
    assert.equal((await listKeys(medium)).find(({ keyId }) => keyId === third.keyId)?.key, third.key)
  })
})

test('a backup is never restored over something, nor without the key of its day', async () => {
  await inFolder(async (folder) => {
    const { file, keys } = await withBackup(folder)
    assert.is(await codeOf(() => restoreBackup(file, folder, keys)), 'conflict')
    assert.is(await codeOf(() => restoreBackup(folder, join(folder, 'new'), keys)), 'not_found')
    assert.is(await codeOf(() => restoreBackup(file, join(folder, 'new'), join(folder, 'none'))), 'not_found')
  })
})

test('without a database there is nothing to back up, and it says so', async () => {
  await inFolder(async (folder) => {
    assert.is(await codeOf(() => backUp(folder)), 'not_found')
  })
})

test.run()
