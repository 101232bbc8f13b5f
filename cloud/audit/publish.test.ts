import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { codeOf } from '../testing.ts'
import { verifyCopy } from './copies.ts'
import { logKey, originOf, parseVerifierKey } from './note.ts'
import { MAX_PLACE_BYTES, openPlace } from './place.ts'
import { checkProof, MAX_PROOF_CHARACTERS, parseProof } from './proof.ts'
import { exportLog, proveEntry, publishLog } from './publish.ts'
import { type LogSource, openSource } from './source.ts'
import { AGENCY, inLogWorld, type LogWorld, RECORD } from './testing.ts'
import { bundlePath, decodeBundle, encodeBundle, MAX_BUNDLED_BYTES, parseTilePath, tilePath, tilesOf } from './tiles.ts'

const keyOf = (world: LogWorld) => logKey(originOf(AGENCY), world.signer.publicKeyPem)

async function withSource<T>(world: LogWorld, work: (source: LogSource) => Promise<T>): Promise<T> {
  const { databaseFile: database, headFile: head, signer } = world
  const source = await openSource({ database, head, publicKeyPem: signer.publicKeyPem })
  try {
    return await work(source)
  } finally {
    source.close()
  }
}

const publish = (world: LogWorld, folder: string, entries = false) =>
  withSource(world, (source) => publishLog({ source, folder, entries, verifier: null }))

const check = (world: LogWorld, where: string, since: string[] = []) =>
  verifyCopy({ where, key: keyOf(world), since, witnesses: [] })

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

test('tiles have the names and widths of tlog-tiles', () => {
  const paths = [...tilesOf(70_000)].map(tilePath)
  // The example of the specification.
  assert.is(paths.length, 273 + 1 + 1 + 1 + 1)
  assert.is(paths[0], 'tile/0/000')
  assert.is(paths[272], 'tile/0/272')
  assert.equal(paths.slice(273), ['tile/0/273.p/112', 'tile/1/000', 'tile/1/001.p/17', 'tile/2/000.p/1'])
  assert.equal([...tilesOf(256)].map(tilePath), ['tile/0/000', 'tile/1/000.p/1'])
  assert.equal([...tilesOf(0)], [])
  assert.is(tilePath({ level: 0, index: 1_234_067, width: 256 }), 'tile/0/x001/x234/067')
  assert.is(bundlePath({ index: 1_234_067, width: 3 }), 'tile/entries/x001/x234/067.p/3')
  for (const tile of tilesOf(70_000)) {
    assert.equal(parseTilePath(tilePath(tile).slice(5)), { ...tile, entries: false })
  }
  assert.is(parseTilePath('entries/x001/x234/067.p/3')?.entries, true)
  for (const bad of [
    ...['0/1', '0/0001', '00/000', '64/000', '0/x000/001', '0/000.p/256', '0/000.p/0', '0/000.p/01', '0/000/'],
    ...['../000', '0/000.p', '', 'entries', '0/x1/000', '0/-01', '1e3/000'],
  ]) {
    assert.is(parseTilePath(bad), null, bad)
  }
})

test('a bundle holds entries behind their lengths, up to the longest', () => {
  const longest = Buffer.alloc(MAX_BUNDLED_BYTES, 1)
  const bytes = encodeBundle([Buffer.from('a'), longest])
  assert.equal([...bytes.subarray(0, 5)], [0, 1, 97, 255, 255])
  assert.equal(decodeBundle(bytes, 2), { entries: [Buffer.from('a'), longest], rest: false })
  assert.throws(() => encodeBundle([Buffer.alloc(MAX_BUNDLED_BYTES + 1)]), /longer than/)
  assert.is(decodeBundle(bytes.subarray(0, -1), 2).entries.length, 1)
  assert.equal(decodeBundle(bytes, 1), { entries: [Buffer.from('a')], rest: true })
})

test('only what is new is published again, and each publication is whole for whoever reads it', async () => {
  await inLogWorld(async (world) => {
    const folder = join(world.folder, 'public')
    const { audit, close } = await world.open()
    let kept: string | null = null
    for (const [count, files] of [
      [100, ['checkpoint', 'key', 'tile/0/000.p/100']],
      [156, ['checkpoint', 'key', 'tile/0/000', 'tile/1/000.p/1']],
      [300, ['checkpoint', 'key', 'tile/0/000', 'tile/0/001', 'tile/0/002.p/44', 'tile/1/000.p/1', 'tile/1/000.p/2']],
    ] as const) {
      await Promise.all(Array.from({ length: count }, () => audit.append(RECORD)))
      const untouched = existsSync(join(folder, 'tile/0/000')) ? statSync(join(folder, 'tile/0/000')).mtimeMs : null
      const done = await publish(world, folder)
      assert.equal(filesIn(folder), files)
      assert.is(done.size - done.before, count)
      if (untouched !== null) assert.is(statSync(join(folder, 'tile/0/000')).mtimeMs, untouched)
      const verdict = await check(world, folder, kept === null ? [] : [kept])
      assert.ok(verdict.ok && verdict.entries === done.size, JSON.stringify(verdict))
      assert.match(verdict.ok ? (verdict.note ?? '') : '', /hashes alone/)
      kept = join(world.folder, `kept-${count}`)
      writeFileSync(kept, readFileSync(join(folder, 'checkpoint')))
    }
    assert.is((await publish(world, folder)).files, 2 + 2, 'nothing new but checkpoint, key and the last partial tiles')
    assert.ok(parseVerifierKey(readFileSync(join(folder, 'key'), 'utf8')))
    await close()
  })
})

test('without --entries nothing that a person did is published; with it an auditor has all, for their eyes alone', async () => {
  await inLogWorld(async (world) => {
    world.fill(300)
    const open = join(world.folder, 'public')
    const closed = join(world.folder, 'auditor')
    await publish(world, open)
    for (const name of filesIn(open)) assert.not.match(readFileSync(join(open, name)).toString('latin1'), /Elm|search/)
    await publish(world, closed)
    await publish(world, closed, true)
    assert.is(statSync(join(closed, 'tile/entries/000')).mode & 0o777, 0o600)
    const verdict = await check(world, closed, [join(open)])
    assert.ok(verdict.ok && verdict.note === null && verdict.agency === AGENCY, JSON.stringify(verdict))
    assert.equal(verdict.ok && verdict.continues, [300])
    rmSync(join(closed, 'tile/entries/000'))
    assert.match(JSON.stringify(await check(world, closed)), /"firstBad":1,.*no purge says so/)
  })
})

test('a folder with another log, or with more than the log has, is not written over', async () => {
  await inLogWorld(async (world) => {
    world.fill(20)
    const folder = join(world.folder, 'public')
    await publish(world, folder)
    const before = readFileSync(join(folder, 'checkpoint'))
    await inLogWorld(async (other) => {
      other.fill(30)
      assert.is(await codeOf(() => publish(other, folder)), 'integrity')
    })
    world.tamper((sqlite) => sqlite.exec('DELETE FROM audit_entries'))
    world.fill(30, { change: (record) => ({ ...record, reason: 'another past' }) })
    assert.is(await codeOf(() => publish(world, folder)), 'integrity')
    world.tamper((sqlite) => sqlite.exec('DELETE FROM audit_entries'))
    world.fill(10)
    assert.is(await codeOf(() => publish(world, folder)), 'integrity')
    assert.equal(readFileSync(join(folder, 'checkpoint')), before)
  })
})

test('an export is whole, for its owner alone, and written over nothing', async () => {
  for (const size of [0, 1, 256, 300]) {
    await inLogWorld(async (world) => {
      world.fill(size)
      const file = join(world.folder, `copy-${size}`)
      assert.equal(await withSource(world, (source) => exportLog(source, file)), { entries: size })
      assert.is(statSync(file).mode & 0o777, 0o600)
      const verdict = await check(world, file)
      assert.ok(verdict.ok && verdict.entries === size, JSON.stringify(verdict))
      assert.is(await codeOf(() => withSource(world, (source) => exportLog(source, file))), 'conflict')
      // The key of the copy is taken when none is given, and the verdict says so.
      const trusting = await verifyCopy({ where: file, key: null, since: [], witnesses: [] })
      assert.match(JSON.stringify(trusting), /the key came with the copy/)
    })
  }
})

test('an export names the very entry that was changed, wherever in it, as far as its lines can tell', async () => {
  await inLogWorld(async (world) => {
    world.fill(20)
    const file = join(world.folder, 'copy')
    await withSource(world, (source) => exportLog(source, file))
    const lines = readFileSync(file, 'utf8').split('\n')
    const bent = async (seq: number, change: (line: string) => string) => {
      const copy = join(world.folder, 'bent')
      writeFileSync(copy, lines.map((line, i) => (i === seq ? change(line) : line)).join('\n'))
      const verdict = await check(world, copy)
      assert.not(verdict.ok)
      return verdict.ok ? null : verdict.firstBad
    }
    const reason = (line: string) => line.replace('Elm', 'Oak')
    const previous = (line: string) =>
      line.replace(/("previous":")[0-9a-f]/, (_, before) => `${before}${line.includes('"previous":"0') ? '1' : '0'}`)
    for (const seq of [1, 2, 10, 18]) assert.is(await bent(seq, reason), seq, `reason of ${seq}`)
    for (const seq of [1, 2, 10, 18, 19]) assert.is(await bent(seq, previous), seq, `previous of ${seq}`)
    // Behind the last entry stands the root alone, which says of no entry that it is the one.
    assert.is(await bent(19, reason), 20)
    assert.is(await bent(20, reason), null)
  })
})

test('an entry is proven by one file, and any change of that file makes it none', async () => {
  await inLogWorld(async (world) => {
    world.fill(300)
    for (const seq of [1, 256, 257, 300]) {
      const text = await withSource(world, (source) => proveEntry(source, seq))
      const proven = checkProof(text, keyOf(world), [])
      assert.equal([proven.seq, proven.size, JSON.parse(proven.entry).results], [seq, 300, seq])
      assert.is(text.split('\n')[0], 'c2sp.org/tlog-proof@v1')
      if (seq !== 257) continue
      for (let at = 0; at < text.length; at += 3) {
        const changed = `${text.slice(0, at)}${text[at] === 'B' ? 'C' : 'B'}${text.slice(at + 1)}`
        assert.throws(() => checkProof(changed, keyOf(world), []), undefined, `at ${at}`)
      }
      const [extra, hash] = [text.split('\n')[1] ?? '', text.split('\n')[3] ?? '']
      for (const bad of [
        text.replace(extra, 'extra !'),
        text.replace('index 256', 'index 0256'),
        text.replace('index 256', 'index -1'),
        text.replace(hash, `${hash}\n`.repeat(65).trimEnd()),
        text.replace(hash, hash.slice(4)),
        text.slice(0, 200),
      ]) {
        assert.throws(() => parseProof(bad), /not a proof/)
      }
      assert.throws(() => parseProof(text.padEnd(MAX_PROOF_CHARACTERS + 1, 'x')), /too long/)
      assert.ok(parseProof(text.padEnd(MAX_PROOF_CHARACTERS, 'x')))
    }
    for (const seq of [301, 400]) {
      assert.is(await codeOf(() => withSource(world, (source) => proveEntry(source, seq))), 'not_found')
    }
  })
})

test('published tiles are checked from any web server; what is too long or answers wrongly is told', async () => {
  await inLogWorld(async (world) => {
    world.fill(300)
    const folder = join(world.folder, 'public')
    await publish(world, folder)
    const server = createServer((request, response) => {
      const path = join(folder, new URL(request.url ?? '', 'http://x').pathname)
      if (path.endsWith('long')) response.end(Buffer.alloc(MAX_PLACE_BYTES + Number(path.includes('too'))))
      else if (path.endsWith('failing')) response.writeHead(500).end()
      else if (existsSync(path) && statSync(path).isFile()) response.end(readFileSync(path))
      else response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const where = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    try {
      const verdict = await check(world, where)
      assert.ok(verdict.ok && verdict.entries === 300, JSON.stringify(verdict))
      const place = openPlace(where)
      assert.is(await place.read('none'), null)
      assert.is((await place.read('long'))?.length, MAX_PLACE_BYTES)
      assert.is(await codeOf(() => place.read('too-long')), 'too_large')
      assert.is(await codeOf(() => place.read('failing')), 'unavailable')
    } finally {
      server.close()
      server.closeAllConnections()
    }
    assert.is(await codeOf(() => openPlace(where).read('checkpoint')), 'unavailable')
  })
})

test.run()
