/** What the camera does not take as a list: each limit at it and one past it, and everything that does not fit together. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sha256Hex } from '../../shared/signing.ts'
import {
  cameraHealthSchema,
  hotlistAckSchema,
  MAX_LIST_ENTRIES,
  MAX_MANIFEST_BYTES,
  MAX_SNAPSHOT_CHUNKS,
  type Manifest,
  type RecordFields,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
} from '../../shared/wire/index.ts'
import { MAX_LISTS } from './manifest.ts'
import {
  deliver,
  entry,
  found,
  giveChunks,
  inOrder,
  inWorld,
  NOW,
  offer,
  records,
  recordsOf,
  sealed,
  signer,
  stranger,
  type Version,
  versionOf,
} from './testing.ts'

test('what is changed on the way or signed by a stranger is refused, and nothing of it is kept', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'OLD111')]))
    const { manifest } = versionOf(2, [])
    const envelope = signer.seal(Buffer.from(JSON.stringify(manifest)))
    const other = Buffer.from(JSON.stringify({ ...manifest, version: 9 })).toString('base64')
    const bad: Record<string, [Buffer, RegExp]> = {
      tampered: [Buffer.from(JSON.stringify({ ...envelope, payload: other })), /does not verify/],
      'a foreign key': [sealed(manifest, stranger), /unknown key/],
      'another agency': [sealed({ ...manifest, agency: 'shelbyville' }), /another agency/],
      'another list': [sealed({ ...manifest, list: 'wanted' }), /another list/],
      expired: [sealed({ ...manifest, expiresAtMs: NOW }), /expired/],
      unsigned: [Buffer.from(JSON.stringify(manifest)), /not a signed envelope/],
      'not JSON': [Buffer.from('x'), /not JSON/],
      empty: [Buffer.alloc(0), /not JSON/],
      'too long': [Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '), /more than/],
    }
    for (const [what, [bytes, reason]] of Object.entries(bad)) {
      const ack = hotlistAckSchema.parse(hotlists.takeManifest('stolen', bytes))
      assert.is(ack.result, 'refused', what)
      assert.match(ack.reason ?? '', reason, what)
      assert.is(hotlists.wanted, null, what)
    }
    assert.is(found(hotlists, 'OLD111'), 'stolen v1 exact')
  })
})

test('an older version is refused, also after a restart, and the same with other content too', async () => {
  await inWorld(async ({ hotlists, restart }) => {
    await deliver(hotlists, versionOf(5, [entry(1, 'ABC1234')]))
    for (const each of [hotlists, restart()]) {
      assert.match((await deliver(each, versionOf(4, [entry(1, 'OLD111')])))?.reason ?? '', /older than version 5/)
      assert.is((await deliver(each, versionOf(5, [entry(1, 'OTH999')])))?.reason, 'same version with other content')
      assert.is((await deliver(each, versionOf(5, [entry(1, 'ABC1234')])))?.result, 'applied', 'the very same is fine')
      assert.is(found(each, 'ABC1234'), 'stolen v5 exact')
    }
  })
})

test('a snapshot that is not what its manifest says is refused as a whole, and the old version stays', async () => {
  const good = inOrder([entry(1, 'ABC1234'), entry(2, 'XYZ789')])
  const [first, second] = good as [RecordFields, RecordFields]
  const { manifest } = versionOf(2, good)
  const raw = (bytes: Buffer, change: Partial<Manifest> = {}): Version => {
    const said = { digest: sha256Hex(bytes), bytes: bytes.length, chunks: 1 }
    return { manifest: { ...manifest, ...said, ...change }, chunks: [bytes] }
  }
  const changed = (at: number, value: number) => {
    const bytes = recordsOf(good)
    bytes[SNAPSHOT_RECORD_BYTES + at] = value
    return raw(bytes)
  }
  const inTwo = recordsOf(good)
  const cutWithin: Version = {
    ...raw(inTwo, { chunks: 2 }),
    chunks: [inTwo.subarray(0, SNAPSHOT_RECORD_BYTES + 1), inTwo.subarray(SNAPSHOT_RECORD_BYTES + 1)],
  }
  const bad: Record<string, [Version, RegExp]> = {
    'another digest': [raw(recordsOf(good), { digest: '0'.repeat(64) }), /digest/],
    'one entry too few': [raw(recordsOf(good), { entries: 3 }), /bytes are not those of its entries/],
    'one entry too many': [raw(recordsOf(good), { entries: 1 }), /bytes are not those of its entries/],
    'half an entry': [raw(recordsOf(good).subarray(1)), /bytes are not those of its entries/],
    'out of order': [raw(recordsOf([second, first])), /entry 1 is out of order/],
    'the same entry twice': [raw(recordsOf([first, first])), /entry 1 is out of order/],
    'cut within an entry': [cutWithin, /chunk 0 holds no whole entries/],
    'a jurisdiction that is none': [
      raw(recordsOf([first, { ...second, jurisdiction: 'us' }])),
      /entry 1: not an entry/,
    ],
    'a priority that is none': [changed(50, 6), /entry 1: not an entry/],
    'priority nought': [changed(50, 0), /entry 1: not an entry/],
    'a rule that is none': [changed(51, 2), /entry 1: not an entry/],
    'an id that is none': [changed(22, 0x40), /entry 1: not an entry/],
    'a time that is none': [changed(32, 1), /entry 1: not an entry/],
  }
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'OLD111')]))
    for (const [what, [version, reason]] of Object.entries(bad)) {
      const ack = await deliver(hotlists, version)
      assert.is(ack?.result, 'refused', what)
      assert.match(ack?.reason ?? '', reason, what)
      assert.is(found(hotlists, 'OLD111'), 'stolen v1 exact', what)
    }
    assert.is((await deliver(hotlists, raw(recordsOf(good))))?.result, 'applied')
  })
})

test('a chunk of another version in place of one of this version is refused', async () => {
  await inWorld(async ({ hotlists }) => {
    const older = versionOf(2, [entry(1, 'OLD111'), entry(2, 'OLD222')], {}, SNAPSHOT_RECORD_BYTES)
    const newer = versionOf(3, [entry(3, 'NEW111'), entry(4, 'NEW222')], {}, SNAPSHOT_RECORD_BYTES)
    const mixed = { ...newer, chunks: [older.chunks[0], newer.chunks[1]] as Buffer[] }
    assert.match((await deliver(hotlists, mixed))?.reason ?? '', /digest does not match/)
    const reordered = { ...newer, chunks: [...newer.chunks].reverse() }
    assert.match((await deliver(hotlists, reordered))?.reason ?? '', /digest does not match/)
    assert.is((await deliver(hotlists, newer))?.result, 'applied')
  })
})

test('numbers of a manifest are taken at their limits and refused one past them', async () => {
  const most = { entries: MAX_LIST_ENTRIES, chunks: MAX_SNAPSHOT_CHUNKS, bytes: records(MAX_LIST_ENTRIES) }
  const one = SNAPSHOT_RECORD_BYTES
  const room = Math.floor((2 * SNAPSHOT_CHUNK_BYTES) / one)
  const limits: [Partial<Manifest>, Partial<Manifest>, RegExp][] = [
    [most, { ...most, entries: MAX_LIST_ENTRIES + 1 }, /entries/],
    [most, { ...most, bytes: most.bytes + 1 }, /bytes/],
    [most, { ...most, chunks: MAX_SNAPSHOT_CHUNKS + 1 }, /chunks/],
    [
      { chunks: 2, entries: room, bytes: records(room) },
      { chunks: 2, entries: room + 1, bytes: records(room + 1) },
      /chunks can hold/,
    ],
    [{ version: 1 }, { version: 0 }, /version/],
  ]
  for (const [taken, past, reason] of limits) {
    await inWorld(async ({ hotlists }) => {
      const entries = [entry(1, 'ABC1234')]
      const refused = offer(hotlists, versionOf(1, entries, past))
      assert.is(refused?.result, 'refused')
      assert.match(refused?.reason ?? '', reason)
      assert.is(offer(hotlists, versionOf(1, entries, taken)), null, JSON.stringify(taken))
      assert.is.not(hotlists.wanted, null)
    })
  }
})

test('a chunk at its limit is taken, one byte more and more bytes than announced are not', async () => {
  await inWorld(async ({ hotlists, database }) => {
    const entries = Array.from({ length: 6_000 }, (_, n) => entry(n, `P${String(n).padStart(5, '0')}`))
    const oversized = versionOf(1, entries, {}, SNAPSHOT_CHUNK_BYTES + 1)
    assert.is(await deliver(hotlists, oversized), null)
    const version = versionOf(1, entries)
    const last = version.chunks.length - 1
    giveChunks(hotlists, { ...version, chunks: version.chunks.slice(0, last) })
    hotlists.takeChunk({ kind: 'snapshot', list: 'stolen', version: 1 }, last, Buffer.alloc(SNAPSHOT_CHUNK_BYTES))
    const held = database.prepare('SELECT sum(length(payload)) FROM hotlist_chunks').pluck().get()
    assert.ok(Number(held) <= version.manifest.bytes, `${held} bytes are held`)
    giveChunks(hotlists, version)
    assert.is((await hotlists.advance())?.result, 'applied')
    assert.is(found(hotlists, 'P05999'), 'stolen v1 exact')
    assert.is(hotlists.status(NOW)[0]?.entries, 6_000)
  })
})

test('a newer version replaces the download of an older one, an older one does not', async () => {
  await inWorld(async ({ hotlists }) => {
    offer(hotlists, versionOf(2, [entry(1, 'TWO222')]))
    assert.match(offer(hotlists, versionOf(1, [entry(1, 'ONE111')]))?.reason ?? '', /newer version is on its way/)
    assert.match(offer(hotlists, versionOf(2, [entry(1, 'OTH222')]))?.reason ?? '', /same version with other content/)
    const third = versionOf(3, [entry(1, 'THR333')])
    assert.is(offer(hotlists, third), null)
    assert.equal(hotlists.wanted, { kind: 'snapshot', list: 'stolen', version: 3 })
    giveChunks(hotlists, third)
    assert.is((await hotlists.advance())?.version, 3)
  })
})

test('lists come one after the other, as many as health can report, and one more is refused', async () => {
  await inWorld(async ({ hotlists }) => {
    const named = (n: number) => versionOf(1, [entry(n, `PLT${n}`)], { list: `list-${n}` })
    for (let n = 1; n <= MAX_LISTS; n += 1) assert.is(offer(hotlists, named(n)), null, `list ${n}`)
    assert.match(offer(hotlists, named(MAX_LISTS + 1))?.reason ?? '', /more than 64 lists/)
    assert.is(offer(hotlists, named(MAX_LISTS)), null, 'one that waits already is no further one')
    for (let n = 1; n <= MAX_LISTS; n += 1) {
      assert.equal(hotlists.wanted, { kind: 'snapshot', list: `list-${n}`, version: 1 })
      giveChunks(hotlists, named(n))
      assert.is((await hotlists.advance())?.list, `list-${n}`)
    }
    assert.match(offer(hotlists, named(MAX_LISTS + 1))?.reason ?? '', /more than 64 lists/)
    assert.is(hotlists.status(NOW).length, MAX_LISTS)
    assert.ok(cameraHealthSchema.shape.hotlists.safeParse(hotlists.status(NOW)).success)
    assert.is(found(hotlists, `PLT${MAX_LISTS}`), `list-${MAX_LISTS} v1 exact`)
  })
})

test.run()
