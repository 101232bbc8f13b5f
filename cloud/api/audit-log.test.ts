import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { verifyCopy } from '../audit/copies.ts'
import { CLOUD_ACTOR } from '../audit/entry.ts'
import {
  cosign,
  cosignatureOf,
  encodeWitnessSecret,
  logKey,
  noteOf,
  openCheckpoint,
  originOf,
  parseNote,
  parseVerifierKey,
  parseWitnessSecret,
  signCheckpoint,
  verifierKey,
} from '../audit/note.ts'
import { openPlace } from '../audit/place.ts'
import { checkProof } from '../audit/proof.ts'
import { isConsistent } from '../audit/tree.ts'
import { witnessLog } from '../audit/witness.ts'
import { MAX_WITNESSES } from '../audit/witnesses.ts'
import { MAX_FILTERED_ENTRIES } from './audit.ts'
import { MAX_PUBLIC_READS_PER_MINUTE } from './audit-log.ts'
import { audited, inWorld, type World } from './testing.ts'

const WITNESS = parseWitnessSecret(encodeWitnessSecret('county.example/w1', Buffer.alloc(32, 5)))
const KEY = verifierKey(WITNESS.key)

const keyOf = (world: World) => logKey(originOf(world.cloud.parts.agency), world.cloud.parts.audit.publicKeyPem)
const newest = async (world: World) => (await world.call('GET', '/audit/checkpoint')).body.toString('utf8')
const grow = (world: World, count: number) =>
  Promise.all(
    Array.from({ length: count }, () =>
      world.cloud.parts.audit.append({ operation: 'search.run', outcome: 'allowed', actor: CLOUD_ACTOR }),
    ),
  )

test('anybody reads the checkpoint, the tiles and the key, checks the tree with them, and sees no entry', async () => {
  await inWorld(async (world) => {
    await grow(world, 300)
    const reply = await world.call('GET', '/audit/checkpoint')
    assert.is(reply.status, 200)
    assert.match(String(reply.headers['content-type']), /^text\/plain; charset=utf-8/)
    const { size } = openCheckpoint(reply.body.toString('utf8'), keyOf(world))
    assert.ok(size >= 300)
    const { body } = await world.call('GET', '/audit/key')
    assert.equal(parseVerifierKey(body.toString()), keyOf(world))
    const where = `https://localhost:${world.cloud.httpsPort}/audit`
    const check = { where, key: keyOf(world), since: [], witnesses: [], caPem: world.cloud.caPem }
    const verdict = await verifyCopy(check)
    assert.ok(verdict.ok && verdict.entries === size, JSON.stringify(verdict))
    for (const path of [
      'tile/entries/000',
      'tile/0/009',
      'tile/0/001.p/255',
      'tile/1/001',
      'tile/x',
      'checkpoint.cosigned',
    ]) {
      assert.is((await world.call('GET', `/audit/${path}`)).status, 404, path)
    }
    assert.is((await world.call('GET', '/audit/tile/0/000')).body.length, 256 * 32)
  })
})

test('the consistency of any two sizes is proven to anybody; one that is not there yet is not', async () => {
  await inWorld(async (world) => {
    await grow(world, 20)
    const before = openCheckpoint(await newest(world), keyOf(world))
    await grow(world, 290)
    const after = openCheckpoint(await newest(world), keyOf(world))
    const ask = (from: number, size: number) => world.call('GET', `/audit/consistency?before=${from}&size=${size}`)
    const { json } = await ask(before.size, after.size)
    const proof = json.proof.map((hash: string) => Buffer.from(hash, 'base64'))
    assert.ok(isConsistent(before, after, proof))
    assert.is((await ask(after.size, before.size)).status, 404)
    assert.is((await ask(1, after.size + 1)).status, 404)
    assert.is((await ask(-1, 3)).status, 400)
  })
})

test('one address reads as much of the log in a minute as a witness needs, and no more', async () => {
  await inWorld(async (world) => {
    const statuses: number[] = []
    for (let done = 0; done <= MAX_PUBLIC_READS_PER_MINUTE; done += 20) {
      const ask = () => world.call('GET', '/audit/checkpoint').then(({ status }) => status)
      const count = Math.min(20, MAX_PUBLIC_READS_PER_MINUTE + 1 - done)
      statuses.push(...(await Promise.all(Array.from({ length: count }, ask))))
    }
    assert.is(statuses.filter((status) => status === 200).length, MAX_PUBLIC_READS_PER_MINUTE)
    assert.is(statuses.at(-1), 429)
  })
})

test('an auditor lists by operation, account and time, and is told where to go on', async () => {
  await inWorld(async (world) => {
    const { audit } = world.cloud.parts
    const token = await world.as('auditor')
    const by = (account: string, operation: string) =>
      audit.append({ operation, outcome: 'allowed', actor: { ...CLOUD_ACTOR, account } })
    const first = await by('ines', 'search.run')
    await by('olga', 'search.answered')
    await by('ines', 'searching')
    await Promise.all(Array.from({ length: MAX_FILTERED_ENTRIES }, () => by('kim', 'alert.step')))
    const list = async (query: string) => (await world.call('GET', `/api/v1/audit?${query}`, { token })).json
    const seen = async (query: string) => {
      const { entries } = await list(`before=${first.seq + 3}&${query}`)
      return entries.map((entry: { operation: string }) => entry.operation)
    }
    assert.equal(await seen('operation=search'), ['search.answered', 'search.run'])
    assert.equal(await seen('operation=search.run'), ['search.run'])
    assert.equal(await seen('account=ines'), ['searching', 'search.run'])
    assert.equal(await seen('account=ines&operation=searching'), ['searching'])
    const nowMs = world.cloud.parts.clock.nowMs()
    assert.equal(await seen(`operation=search&fromMs=${nowMs + 60_000}`), [])
    assert.is((await seen(`operation=search&fromMs=${nowMs - 3_600_000}&toMs=${nowMs + 60_000}`)).length, 2)
    // More than one listing looks at lies in between: it says where it stopped.
    const far = await list('account=olga')
    assert.is(far.entries.length, 0)
    const next = await list(`account=olga&before=${far.continueBefore}`)
    assert.equal([next.entries.length, next.continueBefore], [1, null])
    assert.equal([(await list('limit=1')).entries.length, (await list('before=2')).continueBefore], [1, null])
  })
})

test('an auditor gets the proof of an entry, which is in the audit; nobody else does', async () => {
  await inWorld(async (world) => {
    await grow(world, 5)
    const token = await world.as('auditor')
    const { json } = await world.call('GET', '/api/v1/audit/entries/3/proof', { token })
    const { seq, entry } = checkProof(json.proof, keyOf(world), [])
    assert.equal([seq, JSON.parse(entry).operation], [3, 'search.run'])
    const [noted] = (await audited(world)).filter(({ operation }) => operation === 'audit.prove')
    assert.equal(noted?.subject, { kind: 'entry', id: '3' })
    assert.is((await world.call('GET', '/api/v1/audit/entries/9999/proof', { token })).status, 404)
    const other = await world.as('policy-admin')
    assert.is((await world.call('GET', '/api/v1/audit/entries/3/proof', { token: other })).status, 403)
  })
})

test('a witness that is known looks at the cloud, cosigns it, and everybody sees that it did', async () => {
  await inWorld(async (world) => {
    const admin = await world.as('policy-admin')
    const auditor = await world.as('auditor')
    await grow(world, 280)
    const put = (name: string, key: string, token = admin) =>
      world.call('PUT', `/api/v1/audit/witnesses/${name}`, { token, json: { key } })
    assert.is((await put('county', KEY)).status, 200)
    assert.is((await audited(world, 3)).filter(({ operation }) => operation === 'audit.witness_added').length, 1)
    const look = () =>
      witnessLog({
        place: openPlace(`https://localhost:${world.cloud.httpsPort}/audit`, world.cloud.caPem),
        signer: WITNESS,
        stateFile: join(world.folder, 'witness-state.json'),
        key: keyOf(world),
        nowMs: world.cloud.parts.clock.nowMs(),
      })
    await look()
    await grow(world, 300)
    const done = await look()
    assert.ok(done.before >= 280 && done.size >= 580)
    const hand = (checkpoint: string, token = admin) =>
      world.call('POST', '/api/v1/audit/cosignatures', { token, json: { checkpoint } })
    const taken = await hand(done.note)
    assert.is(taken.status, 200)
    assert.equal(
      [taken.json.size, taken.json.witnesses[0].witness, taken.json.witnesses[0].isNew],
      [done.size, 'county', true],
    )
    assert.is((await hand(done.note)).json.witnesses[0].isNew, false)
    const shown = (await world.call('GET', '/audit/checkpoint.cosigned')).body.toString('utf8')
    assert.is(openCheckpoint(shown, keyOf(world)).size, done.size)
    assert.ok(cosignatureOf(parseNote(shown), WITNESS.key, null))
    const { json } = await world.call('GET', '/api/v1/audit/witnesses', { token: auditor })
    assert.equal([json.witnesses[0].key, json.witnesses[0].cosigned.size], [KEY, done.size])
    assert.is((await hand(done.note, auditor)).status, 403)
    assert.is((await put('county', KEY, auditor)).status, 403)
    // What was said stays when the witness is no longer known; new words of its are not taken.
    assert.is((await world.call('DELETE', '/api/v1/audit/witnesses/county', { token: admin })).status, 200)
    assert.is((await world.call('GET', '/audit/checkpoint.cosigned')).body.toString('utf8'), shown)
    assert.is((await hand(done.note)).status, 400)
    assert.is((await world.call('DELETE', '/api/v1/audit/witnesses/county', { token: admin })).status, 404)
    const operations = (await audited(world)).map(({ operation }) => operation)
    for (const wanted of ['audit.cosigned', 'audit.witnesses', 'audit.witness_removed'])
      assert.ok(operations.includes(wanted), wanted)
  })
})

test('a cosigned checkpoint that is not of this log is refused, as it proves that the log was rewritten', async () => {
  await inWorld(async (world) => {
    const token = await world.as('policy-admin')
    await world.call('PUT', '/api/v1/audit/witnesses/county', { token, json: { key: KEY } })
    const hand = (checkpoint: string) =>
      world.call('POST', '/api/v1/audit/cosignatures', { token, json: { checkpoint } })
    const { size, note } = openCheckpoint(await newest(world), keyOf(world))
    const nowMs = world.cloud.parts.clock.nowMs()
    const raw = (bytes: Buffer) => Buffer.from(world.cloud.parts.keys.audit.seal(bytes).signature, 'base64')
    for (const change of [{ root: Buffer.alloc(32, 1) }, { size: size + 1_000 }]) {
      const { root } = openCheckpoint(await newest(world), keyOf(world))
      const other = signCheckpoint({ origin: keyOf(world).name, size, root, ...change }, keyOf(world), raw)
      const { text } = parseNote(other)
      const reply = await hand(`${other}${cosign(text, WITNESS, nowMs)}\n`)
      assert.equal([reply.status, reply.json.error.code], [500, 'integrity'])
    }
    const own = note.signatures.map(({ line }) => line)
    const later = cosign(note.text, WITNESS, nowMs + 3_600_000)
    for (const [lines, code] of [
      [own, 'bad_input'],
      [[...own, later], 'integrity'],
      [[cosign(note.text, WITNESS, nowMs)], 'integrity'],
    ] as const) {
      assert.is((await hand(noteOf(note.text, lines))).json.error.code, code)
    }
    assert.is((await hand('nothing of the kind')).status, 400)
    assert.is((await world.call('GET', '/audit/checkpoint.cosigned')).status, 404)
  })
})

test('witnesses are bounded, and each has a name and a key of its own', async () => {
  await inWorld(async (world) => {
    const token = await world.as('policy-admin')
    const keyNumber = (i: number) =>
      verifierKey(parseWitnessSecret(encodeWitnessSecret(`w${i}.example`, Buffer.alloc(32, i + 1))).key)
    const put = (name: string, key: string) =>
      world.call('PUT', `/api/v1/audit/witnesses/${name}`, { token, json: { key } }).then(({ status }) => status)
    for (let i = 0; i < MAX_WITNESSES; i++) assert.is(await put(`w${i}`, keyNumber(i)), 200)
    assert.is(await put('one-more', keyNumber(MAX_WITNESSES)), 413)
    assert.is(await put('w0', keyNumber(90)), 409)
    assert.is(await put('again', keyNumber(0)), 409)
    assert.is(await put('broken', 'w0.example+00000000+AAAA'), 400)
    assert.is(await put('the-log', verifierKey(keyOf(world))), 400)
  })
})

test.run()
