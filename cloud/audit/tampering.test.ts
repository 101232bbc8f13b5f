import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Earlier, Verdict } from './check.ts'
import { verifyCopy } from './copies.ts'
import { logKey, openCheckpoint, originOf } from './note.ts'
import { exportLog, publishLog } from './publish.ts'
import { openSource } from './source.ts'
import { AGENCY, inLogWorld, type LogWorld, type Seeded, seededRandom } from './testing.ts'
import { verifyAudit } from './verify.ts'

/** Together the thousand trials that a log must stand. */
const DATABASE_TRIALS = 350
const EXPORT_TRIALS = 350
const TILE_TRIALS = 300

const keyOf = (world: LogWorld) => logKey(originOf(AGENCY), world.signer.publicKeyPem)

/** The last checkpoint, as somebody outside keeps it. */
function lastCheckpoint(world: LogWorld): { file: string; earlier: Earlier } {
  const { checkpoint } = JSON.parse(readFileSync(world.headFile, 'utf8')) as { checkpoint: string }
  const file = join(world.folder, 'kept-checkpoint')
  writeFileSync(file, checkpoint)
  return { file, earlier: { ...openCheckpoint(checkpoint, keyOf(world)), leaves: null, name: 'the kept one' } }
}

async function withSource(
  world: LogWorld,
  work: (source: Awaited<ReturnType<typeof openSource>>) => Promise<unknown>,
): Promise<void> {
  const { databaseFile: database, headFile: head, signer } = world
  const source = await openSource({ database, head, publicKeyPem: signer.publicKeyPem })
  try {
    await work(source)
  } finally {
    source.close()
  }
}

function flipped(bytes: Buffer, { below }: Seeded): Buffer {
  const changed = Buffer.from(bytes)
  const at = below(bytes.length)
  changed[at] = (changed[at] ?? 0) ^ (1 << below(8))
  return changed
}

/** Some way to change a list: drop, insert, reorder, truncate or flip. Never the same list. */
function bent(parts: readonly Buffer[], random: Seeded): { parts: Buffer[]; how: string } {
  const { below } = random
  const at = below(parts.length)
  const one = parts[at] as Buffer
  const other = (at + 1 + below(parts.length - 1)) % parts.length
  const list = [...parts]
  switch (below(6)) {
    case 0:
      list[at] = flipped(one, random)
      return { parts: list, how: `flip in ${at}` }
    case 1:
      list.splice(at, 1)
      return { parts: list, how: `drop ${at}` }
    case 2:
      list.splice(other, 0, below(2) === 0 ? one : flipped(one, random))
      return { parts: list, how: `insert at ${other}` }
    case 3:
      list[at] = parts[other] as Buffer
      list[other] = one
      return { parts: list, how: `swap ${at} and ${other}` }
    case 4:
      return { parts: list.slice(0, at), how: `truncate to ${at}` }
    default:
      list[at] = one.subarray(0, below(one.length))
      return { parts: list, how: `cut ${at}` }
  }
}

function mustFail(verdict: Verdict, context: string): void {
  assert.not(verdict.ok, `undetected: ${context}`)
}

test('whatever is done to the database, the tree in it or the head is found, given the last checkpoint', async () => {
  const random = seededRandom(process.env.CANDOR_SEED)
  const { seed, below } = random
  await inLogWorld(async (world) => {
    // A tile and a little, with the log's own length kept short for the trials' sake.
    world.fill(262)
    const { earlier } = lastCheckpoint(world)
    const files = { database: world.databaseFile, head: world.headFile, publicKeyPem: world.signer.publicKeyPem }
    const verify = () => verifyAudit({ ...files, earlier: [earlier] })
    assert.ok((await verify()).ok)
    const head = readFileSync(world.headFile)
    let undo: () => void = () => {}
    const run = async (how: string, trial: number) => {
      mustFail(await verify(), `trial ${trial}, seed ${seed}: ${how}`)
      undo()
    }
    for (let trial = 0; trial < DATABASE_TRIALS; trial++) {
      if (trial % 7 === 0) {
        const changed = below(4) === 0 ? head.subarray(0, below(head.length - 1)) : flipped(head, random)
        writeFileSync(world.headFile, changed)
        undo = () => writeFileSync(world.headFile, head)
        await run('head', trial)
        continue
      }
      let how = ''
      world.tamper((sqlite) => {
        const table = trial % 7 === 1 ? 'audit_nodes' : 'audit_entries'
        const key = table === 'audit_nodes' ? 'position' : 'seq'
        const rows = sqlite.prepare(`SELECT * FROM ${table} ORDER BY ${key}`).all() as Record<string, unknown>[]
        const columns = Object.keys(rows[0] ?? {})
        const put = (content: readonly Record<string, unknown>[], connection = sqlite) => {
          connection.transaction(() => {
            connection.exec(`DELETE FROM ${table}`)
            const insert = connection.prepare(
              `INSERT INTO ${table} VALUES (${columns.map((name) => `@${name}`).join(', ')})`,
            )
            for (const row of content) insert.run(row)
          })()
        }
        undo = () => world.tamper((connection) => put(rows, connection))
        if (table === 'audit_nodes' || below(3) === 0) {
          const at = below(rows.length)
          const column = table === 'audit_nodes' ? 'hash' : below(4) === 0 ? 'hash' : 'bytes'
          how = `flip in ${table} ${column} ${at}`
          put(rows.map((row, i) => (i === at ? { ...row, [column]: flipped(row[column] as Buffer, random) } : row)))
          return
        }
        // Whole rows are moved about under the numbers that they should have, or under those they had.
        const order = bent(
          rows.map((_, i) => Buffer.from(String(i + 1))),
          random,
        )
        how = order.how
        const moved = order.parts.map((part) => rows[Number(part.toString()) - 1]).filter((row) => row !== undefined)
        const keep = new Set(moved.map((row) => row.seq)).size === moved.length && below(2) === 0
        const numbered = keep ? moved : moved.map((row, i) => ({ ...row, seq: i + 1 }))
        const same = numbered.length === rows.length && numbered.every((row, i) => row.seq === i + 1 && row === rows[i])
        put(same || isSame(numbered, rows) ? rows.slice(1) : numbered)
      })
      await run(how, trial)
    }
    assert.ok((await verify()).ok, 'every trial was undone')
  })
})

function isSame(left: readonly Record<string, unknown>[], right: readonly Record<string, unknown>[]): boolean {
  const text = (rows: readonly Record<string, unknown>[]) =>
    [...rows]
      .sort((a, b) => Number(a.seq) - Number(b.seq))
      .map((row) => `${row.seq} ${(row.hash as Buffer).toString('hex')}`)
      .join()
  return text(left) === text(right)
}

test('whatever is done to an exported copy is found, given the last checkpoint', async () => {
  const random = seededRandom(process.env.CANDOR_SEED)
  await inLogWorld(async (world) => {
    world.fill(40)
    const where = join(world.folder, 'audit.copy')
    await withSource(world, (source) => exportLog(source, where))
    const { file } = lastCheckpoint(world)
    const verify = () => verifyCopy({ where, key: keyOf(world), since: [file], witnesses: [] })
    const good = readFileSync(where)
    assert.ok((await verify()).ok)
    const lines = good
      .toString('utf8')
      .split(/(?<=\n)/)
      .map((line) => Buffer.from(line))
    for (let trial = 0; trial < EXPORT_TRIALS; trial++) {
      const { parts, how } = bent(lines, random)
      const changed = Buffer.concat(parts)
      if (changed.equals(good)) continue
      writeFileSync(where, changed)
      mustFail(await verify(), `trial ${trial}, seed ${random.seed}: ${how}`)
    }
    writeFileSync(where, good)
    assert.ok((await verify()).ok)
  })
})

test('whatever is done to published tiles, bundles or the checkpoint is found, given the last checkpoint', async () => {
  const random = seededRandom(process.env.CANDOR_SEED)
  const { below } = random
  await inLogWorld(async (world) => {
    world.fill(260)
    const good = join(world.folder, 'published')
    await withSource(world, (source) => publishLog({ source, folder: good, entries: true, verifier: null }))
    const { file } = lastCheckpoint(world)
    const where = join(world.folder, 'bent')
    const verify = () => verifyCopy({ where, key: keyOf(world), since: [file], witnesses: [] })
    cpSync(good, where, { recursive: true })
    assert.ok((await verify()).ok)
    // Whose log it is, is told by whoever checks it: the file is there for convenience alone.
    const names = readdirSync(good, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'key')
      .map((entry) => join(entry.parentPath, entry.name).slice(good.length + 1))
    for (let trial = 0; trial < TILE_TRIALS; trial++) {
      const name = names[below(names.length)] ?? ''
      const bytes = readFileSync(join(good, name))
      const way = below(5)
      const other = names[(names.indexOf(name) + 1 + below(names.length - 1)) % names.length] ?? ''
      if (way === 0) rmSync(join(where, name))
      else if (way === 1) writeFileSync(join(where, name), bytes.subarray(0, below(bytes.length)))
      else if (way === 2) writeFileSync(join(where, name), readFileSync(join(good, other)))
      else
        writeFileSync(
          join(where, name),
          way === 3 ? Buffer.concat([bytes, Buffer.alloc(1 + below(40))]) : flipped(bytes, random),
        )
      mustFail(await verify(), `trial ${trial}, seed ${random.seed}: way ${way} ${name} ${other}`)
      writeFileSync(join(where, name), bytes)
    }
    assert.ok((await verify()).ok)
  })
})

test('a log written anew by whoever has the key does not continue a checkpoint that somebody kept, and the first entry that differs is named', async () => {
  await inLogWorld(async (world) => {
    world.fill(300)
    const kept = join(world.folder, 'kept.copy')
    const tiles = join(world.folder, 'kept-tiles')
    await withSource(world, async (source) => {
      await exportLog(source, kept)
      await publishLog({ source, folder: tiles, entries: false, verifier: null })
    })
    const { file, earlier } = lastCheckpoint(world)
    mkdirSync(join(world.folder, 'later'))
    await inLogWorld(async (other) => {
      // The same key, another entry 77, and more entries than before: chain, tree, head and checkpoint are all in order.
      Object.assign(other, { signer: world.signer })
      other.fill(320, { change: (record, seq) => (seq === 77 ? { ...record, reason: 'nothing to see' } : record) })
      const head = JSON.parse(readFileSync(other.headFile, 'utf8')) as object
      assert.ok('checkpoint' in head)
      const where = join(world.folder, 'later', 'audit.copy')
      const files = { database: other.databaseFile, head: other.headFile, publicKeyPem: other.signer.publicKeyPem }
      assert.not((await verifyAudit(files)).ok, 'the world signs with a key of its own')
      await resign(other, world)
      assert.ok(
        (await verifyAudit({ ...files, publicKeyPem: world.signer.publicKeyPem })).ok,
        'nothing is wrong in itself',
      )
      const source = await openSource({ ...files, publicKeyPem: world.signer.publicKeyPem })
      await exportLog(source, where)
      source.close()
      const check = (since: readonly string[]) => verifyCopy({ where, key: keyOf(world), since, witnesses: [] })
      assert.ok((await check([])).ok)
      for (const since of [[file], [kept], [tiles]]) {
        const verdict = await check(since)
        assert.not(verdict.ok)
        if (verdict.ok) return
        assert.is(verdict.firstBad, since[0] === file ? null : 77, verdict.problem)
        if (since[0] === file) assert.match(verdict.problem, /rewritten.*entries 1 to 300/)
      }
      const inDatabase = await verifyAudit({ ...files, publicKeyPem: world.signer.publicKeyPem, earlier: [earlier] })
      assert.match(JSON.stringify(inDatabase), /"ok":false.*rewritten/)
    })
  })
})

/** Signs `world` as it stands with the key of `other`. */
async function resign(world: LogWorld, other: LogWorld): Promise<void> {
  const { sealHead } = await import('./head.ts')
  const { payload, checkpoint } = JSON.parse(readFileSync(world.headFile, 'utf8')) as Record<string, string>
  const { seq, hash, atMs } = JSON.parse(Buffer.from(payload ?? '', 'base64').toString()) as {
    seq: number
    hash: string
    atMs: number
  }
  const root = Buffer.from((checkpoint ?? '').split('\n')[2] ?? '', 'base64')
  writeFileSync(world.headFile, sealHead(other.signer, { agency: AGENCY, seq, hash, atMs }, root))
}

test('checkpoints that were kept at several sizes close in on the first entry that differs', async () => {
  await inLogWorld(async (world) => {
    const { audit, close } = await world.open()
    const kept: string[] = []
    for (let size = 1; size <= 4; size++) {
      await audit.append({
        operation: 'search.run',
        outcome: 'allowed',
        actor: { account: null, roles: [], session: null, source: null },
      })
      const file = join(world.folder, `kept-${size}`)
      writeFileSync(file, await audit.checkpoint())
      kept.push(file)
    }
    await close()
    await inLogWorld(async (other) => {
      world.tamper((sqlite) => {
        const rows = sqlite.prepare('SELECT bytes FROM audit_entries ORDER BY seq').all() as { bytes: Buffer }[]
        other.fill(4, {
          change: (record, seq) => {
            const {
              seq: _,
              at: __,
              agency: ___,
              previous: ____,
              ...old
            } = JSON.parse((rows[seq - 1]?.bytes ?? '').toString())
            return seq === 3 ? { ...record, reason: 'other' } : old
          },
        })
      })
      await resign(other, world)
      const where = join(world.folder, 'other.copy')
      const source = await openSource({
        database: other.databaseFile,
        head: other.headFile,
        publicKeyPem: world.signer.publicKeyPem,
      })
      await exportLog(source, where)
      source.close()
      const verdict = await verifyCopy({ where, key: keyOf(world), since: kept, witnesses: [] })
      // Times differ from the first entry on: another clock wrote it.
      assert.equal([verdict.ok, !verdict.ok && verdict.firstBad], [false, 1])
    })
  })
})

test.run()
