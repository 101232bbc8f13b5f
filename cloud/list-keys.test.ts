/** The key of the lists' digests: made once, given to a camera after it is written down, replaced. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../shared/errors.ts'
import { newId, newSecret } from '../shared/ids.ts'
import { createListKey } from '../shared/list-key.ts'
import { silentLog } from '../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem } from '../shared/signing.ts'
import { topics } from '../shared/topics.ts'
import { listKeySchema } from '../shared/wire/index.ts'
import type { AuditRecord } from './audit/entry.ts'
import { KEY_INTERVAL_MS, type ListKeys, openListKeys } from './list-keys.ts'

const AGENCY = 'springfield'
const signer = createSigner(newSigningKeyPem().privateKeyPem)

interface World {
  file: string
  nowMs: number
  audited: AuditRecord[]
  auditFails: boolean
  sent: { topic: string; payload: Buffer; qos: number; retain: boolean }[]
  open(): Promise<ListKeys>
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-list-keys-'))
  const world: World = {
    ...{ file: join(folder, 'list-digest.key'), nowMs: 0, audited: [], auditFails: false, sent: [] },
    open: () =>
      openListKeys({
        ...{ file: world.file, agency: AGENCY, newSecret, signer, log: silentLog },
        audit: {
          async append(record) {
            if (world.auditFails) throw new AppError('unavailable', 'the audit cannot be written')
            world.audited.push(record)
            return { seq: world.audited.length }
          },
        },
        clock: { monotonicMs: () => world.nowMs },
        publish: async (topic, payload, { qos, retain }) => void world.sent.push({ topic, payload, qos, retain }),
      }),
  }
  try {
    await work(world)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the key is made once, for the owner alone, and is the same after a restart', async () => {
  await inWorld(async (world) => {
    const { keyId } = (await world.open()).current
    assert.is(statSync(world.file).mode & 0o777, 0o600)
    assert.is((await world.open()).current.keyId, keyId)
    writeFileSync(world.file, 'c2hvcnQ\n')
    await world.open().then(
      () => assert.unreachable(),
      (thrown: AppError) => assert.equal([thrown.code, /not a list key/.test(thrown.message)], ['configuration', true]),
    )
  })
})

test('a camera gets it signed, for its own request, at QoS 0, after the audit has it', async () => {
  await inWorld(async (world) => {
    const keys = await world.open()
    const requestId = newId()
    world.auditFails = true
    await keys.answer('north', requestId, null).then(
      () => assert.unreachable(),
      () => {},
    )
    assert.is(world.sent.length, 0, 'what cannot be written down is not given')
    world.auditFails = false
    world.nowMs = KEY_INTERVAL_MS
    await keys.answer('north', requestId, keys.current.keyId)
    const [sent] = world.sent
    assert.equal(
      [sent?.topic, sent?.qos, sent?.retain],
      [topics.command(AGENCY, 'north', 'list-key', requestId), 0, false],
    )
    const envelope: unknown = JSON.parse(sent?.payload.toString() ?? '')
    const opened = createVerifier([signer.publicKeyPem]).open(envelope)
    const answer = listKeySchema.parse(JSON.parse(opened.toString()))
    assert.equal([answer.cameraId, answer.requestId, answer.keyId], ['north', requestId, keys.current.keyId])
    assert.equal(createListKey(Buffer.from(answer.key, 'base64')).digest('ABC123'), keys.current.digest('ABC123'))
    assert.equal(
      world.audited.map(({ operation, subject }) => [operation, subject?.id]),
      [['hotlist.key_given', 'north']],
    )
    assert.not.ok(JSON.stringify(world.audited).includes(answer.key.slice(0, 20)))
  })
})

test('a camera that asks again too soon is not answered; another one is, and so is it at the limit', async () => {
  await inWorld(async (world) => {
    const keys = await world.open()
    await keys.answer('north', newId(), null)
    world.nowMs = KEY_INTERVAL_MS - 1
    await keys.answer('north', newId(), null)
    assert.is(world.sent.length, 1)
    await keys.answer('south', newId(), null)
    world.nowMs = KEY_INTERVAL_MS
    await keys.answer('north', newId(), null)
    assert.is(world.sent.length, 3)
    world.nowMs = 2 * KEY_INTERVAL_MS
    await keys.answer('north', newId(), '0000000000000000')
    assert.is(world.sent.length, 3, 'a key that is none of ours')
  })
})

test('a replaced key stays for the versions that need it until it is forgotten, also over a restart', async () => {
  await inWorld(async (world) => {
    const keys = await world.open()
    const before = keys.current.keyId
    await keys.replace()
    assert.is.not(keys.current.keyId, before)
    const again = await world.open()
    assert.is(again.current.keyId, keys.current.keyId)
    assert.is(again.find(before)?.keyId, before)
    await again.forgetOld()
    assert.is(again.find(before), null)
    assert.is(readFileSync(world.file, 'utf8').trim().split('\n').length, 1)
    assert.is((await world.open()).find(before), null)
  })
})

test.run()
