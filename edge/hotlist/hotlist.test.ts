/** How a list comes to the camera, when it takes over, and what is left of it after a restart. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createListKey } from '../../shared/list-key.ts'
import { STALLED_AFTER_MS } from './hotlist.ts'
import {
  CAMERA,
  DAY,
  deliver,
  entry,
  entryId,
  found,
  giveChunks,
  inWorld,
  keyAnswer,
  NOW,
  offer,
  readOf,
  records,
  sealed,
  stranger,
  versionOf,
} from './testing.ts'

test('a signed version is received in chunks, checked, and only then matches', async () => {
  await inWorld(async ({ hotlists }) => {
    const version = versionOf(1, [entry(1, 'ABC1234'), entry(2, 'XYZ789')], {}, records(1))
    assert.is(version.chunks.length, 2)
    assert.is(offer(hotlists, version), null)
    assert.equal(hotlists.wanted, { kind: 'snapshot', list: 'stolen', version: 1 })
    giveChunks(hotlists, version)
    assert.is(found(hotlists, 'ABC1234'), null)
    const ack = await hotlists.advance()
    assert.equal(ack, {
      list: 'stolen',
      version: 1,
      digest: version.manifest.digest,
      result: 'applied',
      reason: null,
      atMs: NOW,
    })
    assert.equal(hotlists.match(readOf('ABC1234'), NOW), {
      list: 'stolen',
      listVersion: 1,
      entryId: entryId(1),
      kind: 'exact',
    })
    assert.is(hotlists.wanted, null)
  })
})

test('the old version matches until the whole new one is there, and not a moment longer', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'OLD111')]))
    const next = versionOf(2, [entry(2, 'NEW222'), entry(3, 'ALS333')], {}, records(1))
    offer(hotlists, next)
    for (const [chunk, payload] of next.chunks.entries()) {
      assert.is(found(hotlists, 'OLD111'), 'stolen v1 exact')
      assert.is(await hotlists.advance(), null)
      hotlists.takeChunk({ kind: 'snapshot', list: 'stolen', version: 2 }, chunk, payload)
    }
    const applying = hotlists.advance()
    assert.is(found(hotlists, 'OLD111'), 'stolen v1 exact', 'while it is written too')
    assert.is((await applying)?.result, 'applied')
    assert.is(found(hotlists, 'OLD111'), null)
    assert.is(found(hotlists, 'NEW222'), 'stolen v2 exact')
  })
})

test('chunks may come in any order, twice, and between chunks of something else', async () => {
  await inWorld(async ({ hotlists }) => {
    const version = versionOf(1, [entry(1, 'ABC1234'), entry(2, 'XYZ789')], {}, records(1))
    offer(hotlists, version)
    hotlists.takeChunk({ kind: 'snapshot', list: 'stolen', version: 2 }, 0, Buffer.from('of another version'))
    hotlists.takeChunk({ kind: 'snapshot', list: 'wanted', version: 1 }, 0, Buffer.from('of another list'))
    hotlists.takeChunk(
      { kind: 'snapshot', list: 'stolen', version: 1 },
      version.chunks.length,
      Buffer.from('one past the last'),
    )
    for (const [chunk, payload] of [...version.chunks.entries()].reverse()) {
      hotlists.takeChunk({ kind: 'snapshot', list: 'stolen', version: 1 }, chunk, payload)
      hotlists.takeChunk({ kind: 'snapshot', list: 'stolen', version: 1 }, chunk, payload)
    }
    assert.is((await hotlists.advance())?.result, 'applied')
  })
})

test('half a snapshot changes nothing, not even after a restart, and its rows go', async () => {
  await inWorld(async ({ hotlists, database, restart }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'OLD111')]))
    const next = versionOf(2, [entry(2, 'NEW222'), entry(3, 'ALS333')], {}, records(1))
    offer(hotlists, next)
    giveChunks(hotlists, { ...next, chunks: next.chunks.slice(0, -1) })
    assert.is(await hotlists.advance(), null)
    const again = restart()
    assert.is(again.wanted, null)
    assert.is(found(again, 'OLD111'), 'stolen v1 exact')
    assert.is(found(again, 'NEW222'), null)
    for (let rounds = 0; again.sweep() > 0; rounds += 1) assert.ok(rounds < 100)
    assert.is(database.prepare('SELECT count(*) FROM hotlist_generations').pluck().get(), 1)
    assert.is((await deliver(again, next))?.result, 'applied')
    for (let rounds = 0; again.sweep() > 0; rounds += 1) assert.ok(rounds < 100)
    assert.is(database.prepare('SELECT count(*) FROM hotlist_digests').pluck().get(), 2, 'the old ones are deleted')
  })
})

test('a download that stalls is given up, told, and comes again with the next manifest', async () => {
  await inWorld(async ({ hotlists, time }) => {
    const version = versionOf(1, [entry(1, 'ABC1234')])
    offer(hotlists, version)
    time.monotonicMs = STALLED_AFTER_MS
    assert.is(await hotlists.advance(), null)
    time.monotonicMs += 1
    assert.equal((await hotlists.advance())?.reason, 'its chunks did not come')
    assert.is(hotlists.wanted, null)
    assert.is((await deliver(hotlists, version))?.result, 'applied')
  })
})

test('a recalled version stops matching at once, before the new one has come', async () => {
  await inWorld(async ({ hotlists, restart }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'BAD111')]))
    const next = versionOf(3, [entry(2, 'NEW222')], { minimumVersion: 2 })
    assert.is(offer(hotlists, next), null)
    assert.is(found(hotlists, 'BAD111'), null)
    assert.equal(hotlists.status(NOW), [
      { list: 'stolen', version: 0, entries: 0, ageMs: DAY, stale: true, keyed: true, failedDeltas: 0 },
    ])
    const again = restart()
    assert.is(found(again, 'BAD111'), null)
    const recalled = await deliver(again, versionOf(1, [entry(1, 'BAD111')]))
    assert.match(recalled?.reason ?? '', /older than the minimum version 2/)
    assert.is((await deliver(again, next))?.result, 'applied')
    assert.match(
      (await deliver(again, versionOf(4, [], { minimumVersion: 5 })))?.reason ?? '',
      /its own minimum version/,
    )
  })
})

test('an empty version is applied without a chunk and nothing matches any more', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'ABC1234')]))
    assert.is((await deliver(hotlists, versionOf(2, [])))?.result, 'applied')
    assert.is(found(hotlists, 'ABC1234'), null)
    assert.equal(hotlists.status(NOW), [
      { list: 'stolen', version: 2, entries: 0, ageMs: DAY, stale: false, keyed: true, failedDeltas: 0 },
    ])
  })
})

test('without its key a camera matches nothing and says so; with it, what it has kept matches at once', async () => {
  await inWorld(async ({ hotlists, database, restartWithoutKey }) => {
    assert.equal(hotlists.missingKeys, [])
    await deliver(hotlists, versionOf(1, [entry(1, 'ABC1234')]))
    const again = restartWithoutKey()
    assert.is(found(again, 'ABC1234'), null)
    assert.is(again.status(NOW)[0]?.keyed, false)
    assert.equal(again.missingKeys, [keyAnswer().keyId])
    // A list can come before the key.
    assert.is((await deliver(again, versionOf(2, [entry(1, 'ABC1234'), entry(2, 'NEW222')])))?.result, 'applied')
    const answered = { cameraId: CAMERA, requestId: entryId(0) }
    const bad: Record<string, [Buffer, RegExp]> = {
      'signed by a stranger': [sealed(keyAnswer(), stranger), /unknown key/],
      'of another agency': [sealed(keyAnswer({ agency: 'shelbyville' })), /another camera/],
      'for another camera': [sealed(keyAnswer({ cameraId: 'south' })), /another camera/],
      'for another request': [sealed(keyAnswer({ requestId: entryId(1) })), /another request/],
      'not what it is called': [sealed(keyAnswer({ keyId: '0000000000000000' })), /not the one it is called/],
      'too short': [sealed(keyAnswer({ key: 'AAAA' })), /key/],
      'no document': [Buffer.from('x'), /not JSON/],
    }
    for (const [what, [envelope, reason]] of Object.entries(bad)) {
      assert.match(again.takeKey(envelope, answered) ?? '', reason, what)
      assert.is(found(again, 'NEW222'), null, what)
    }
    assert.is(again.takeKey(sealed(keyAnswer()), answered), null)
    assert.is(found(again, 'NEW222'), 'stolen v2 exact')
    assert.equal([again.missingKeys, again.status(NOW)[0]?.keyed], [[], true])
    const words = database.prepare('SELECT hex(digest) FROM hotlist_digests').pluck().all() as string[]
    assert.ok(words.length > 0 && words.every((word) => !word.includes(Buffer.from('ABC1234').toString('hex'))))
  })
})

test('a version under another key waits for it, and the key that is no more needed is forgotten', async () => {
  await inWorld(async ({ hotlists }) => {
    const other = Buffer.alloc(32, 9)
    const otherKey = createListKey(other)
    await deliver(hotlists, versionOf(1, [entry(1, 'ABC1234')]))
    const next = versionOf(2, [entry(1, 'ABC1234', { digest: otherKey.digest('ABC1234') })], { keyId: otherKey.keyId })
    assert.is(offer(hotlists, next), null)
    assert.equal(hotlists.missingKeys, [otherKey.keyId], 'asked for while the version is on its way')
    giveChunks(hotlists, next)
    await hotlists.advance()
    assert.is(found(hotlists, 'ABC1234'), null)
    const answer = keyAnswer({ keyId: otherKey.keyId, key: other.toString('base64') })
    hotlists.takeKey(sealed(answer), { cameraId: CAMERA, requestId: entryId(0) })
    assert.is(found(hotlists, 'ABC1234'), 'stolen v2 exact')
    assert.is((await deliver(hotlists, versionOf(3, [entry(1, 'ABC1234')])))?.result, 'applied')
    assert.equal(hotlists.missingKeys, [keyAnswer().keyId], 'the first key is gone')
  })
})

test('a list under a key that is no more does not keep the others from theirs', async () => {
  await inWorld(async ({ hotlists, restartWithoutKey }) => {
    const old = createListKey(Buffer.alloc(32, 9))
    const ofOld = { list: 'amber', keyId: old.keyId }
    await deliver(hotlists, versionOf(1, [entry(1, 'OLD1111', { digest: old.digest('OLD1111') })], ofOld))
    await deliver(hotlists, versionOf(1, [entry(2, 'NEW2222')]))
    const again = restartWithoutKey()
    assert.equal(again.missingKeys, [old.keyId, keyAnswer().keyId])
    again.takeKey(sealed(keyAnswer()), { cameraId: CAMERA, requestId: entryId(0) })
    assert.is(found(again, 'NEW2222'), 'stolen v1 exact')
    assert.equal(again.missingKeys, [old.keyId])
  })
})

test.run()
