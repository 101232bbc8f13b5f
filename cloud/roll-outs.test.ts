import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { createVerifier } from '../shared/signing.ts'
import { topics } from '../shared/topics.ts'
import {
  type ConfigureCommand,
  configureCommandSchema,
  MAX_RELEASE_BYTES,
  MAX_SETTINGS_BYTES,
  type TargetState,
  type UpdateCommand,
  updateCommandSchema,
} from '../shared/wire/index.ts'
import { MAX_FETCHING } from './api/roll-outs.ts'
import { callerOf } from './api/testing.ts'
import { ANSWER_MS } from './roll-outs/plan.ts'
import { MAX_PART_BYTES, MAX_PARTS_OPEN, MAX_RELEASES } from './roll-outs/releases.ts'
import type { NewRollOut } from './roll-outs/types.ts'
import { AGENCY, codeOf, collect, inCloud, publish, subscribe, type TestCloud, until } from './testing.ts'
import { openReceiver } from './webhooks/testing.ts'

const SOAK_MINUTES = 30
const WANTED: NewRollOut = {
  ...{ what: { kind: 'settings', settings: { vision: { minConfidence: 0.4 } } }, cameras: [], first: [] },
  ...{ stages: [10, 100], soakMinutes: SOAK_MINUTES, reason: 'fewer wrong reads' },
}

interface Unit {
  camera: string
  client: MqttClient
  /** Commands it was sent, newest last. */
  commands(): (UpdateCommand | ConfigureCommand)[]
  /** Answers the newest. */
  answer(state: TargetState, message?: string): Promise<unknown>
}

async function openUnit(world: TestCloud, camera: string, connected = true): Promise<Unit> {
  const certified = await world.addCamera(camera)
  const client = connected ? await world.connectCamera(camera, certified) : (null as unknown as MqttClient)
  const received = connected ? collect(client) : []
  if (connected) await subscribe(client, topics.commands(AGENCY, camera))
  const commands = () =>
    received.map(({ topic, payload }) => {
      const verifier = createVerifier(world.cloud.parts.keys.signing.trusted)
      const text = verifier.open(JSON.parse(payload.toString())).toString()
      const schema = topic.includes('/commands/update/') ? updateCommandSchema : configureCommandSchema
      return schema.parse(JSON.parse(text))
    })
  return {
    ...{ camera, client, commands },
    async answer(state, message) {
      const command = commands().at(-1)
      if (command === undefined) return assert.unreachable(`${camera} was told nothing`)
      const operation = 'release' in command ? 'update' : 'configure'
      const ack = { targetId: command.targetId, state, message: message ?? null, atMs: world.clock.nowMs() }
      const topic = topics.ack(AGENCY, camera, `${operation}/${command.targetId}`)
      return publish(client, topic, Buffer.from(JSON.stringify(ack)))
    },
  }
}

const told = (unit: Unit, times = 1) => until(`${unit.camera} is told`, () => unit.commands().length === times)
const stateOf = async (world: TestCloud, number: number) => (await world.cloud.parts.rollOuts.get(number)).rollOut.state

test('settings go to the first camera, after their time to the others, and are done when all have confirmed', async () => {
  await inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const [a, b, c] = [await openUnit(world, 'a'), await openUnit(world, 'b'), await openUnit(world, 'c')]
    const { number } = await rollOuts.start({ ...WANTED, first: ['b'] }, 'tess')
    await told(b)
    const [command] = b.commands()
    assert.equal(command !== undefined && 'settings' in command && [command.version, command.settings], [
      number,
      { vision: { minConfidence: 0.4 } },
    ])
    assert.is((command?.expiresAtMs ?? 0) - (command?.issuedAtMs ?? 0), DAY_MS)
    await b.answer('probation')
    await rollOuts.upkeep()
    assert.is(b.commands().length, 1, 'it has answered')
    await b.answer('confirmed')
    await rollOuts.upkeep()
    assert.equal([a.commands().length, c.commands().length], [0, 0])
    world.clock.advance(SOAK_MINUTES * MINUTE_MS)
    await rollOuts.upkeep()
    await told(a)
    await told(c)
    await a.answer('confirmed')
    assert.is(await stateOf(world, number), 'running')
    await c.answer('confirmed')
    await until('it is done', async () => (await stateOf(world, number)) === 'done')
    assert.equal((await rollOuts.get(number)).rollOut.counts, { confirmed: 3 })
    assert.is((await world.audited('roll_out.done')).length, 1)
    assert.equal(
      (await world.audited('roll_out.stage')).map(({ detail }) => detail?.percent),
      [100],
    )
  })
})

test('one that goes wrong stops it before the next stage, across a restart, until a person has looked', async () => {
  await inCloud(async (world) => {
    const a = await openUnit(world, 'a')
    await openUnit(world, 'b', false)
    const receiver = await openReceiver()
    const hook = { webhook: 'desk', url: new URL(receiver.url), groups: [], includePlate: false, by: 'tess' }
    await world.cloud.parts.webhooks.add({ ...hook, notices: ['roll_out_halted'] })
    const { number } = await world.cloud.parts.rollOuts.start({ ...WANTED, first: ['a'] }, 'tess')
    await told(a)
    await a.answer('rolled_back', 'no frame was read for 10 minutes')
    await until('a webhook is told', () => receiver.got.length === 1)
    const { kind, rollOut: halted } = receiver.got[0]?.json.notice ?? {}
    assert.equal([kind, halted.number, halted.kind, halted.stage], ['roll_out_halted', number, 'settings', 0])
    assert.match(halted.because, /1 of 1 went wrong: a rolled_back/)
    await receiver.close()
    await until('it is halted', async () => (await stateOf(world, number)) === 'halted')
    assert.is(await world.counted('candor_roll_outs_halted'), 1)
    assert.match(
      String((await world.audited('roll_out.halted'))[0]?.detail?.because),
      /1 of 1 went wrong: a rolled_back/,
    )
    await world.restart()
    const { rollOuts } = world.cloud.parts
    const { rollOut, turns } = await rollOuts.get(number)
    assert.equal(
      [rollOut.state, turns.find(({ camera }) => camera === 'a')?.message],
      ['halted', 'no frame was read for 10 minutes'],
    )
    assert.is(await codeOf(() => rollOuts.start(WANTED, 'tess')), 'conflict', 'one of a kind at a time')
    assert.is((await rollOuts.act(number, 'resume', 'tess')).state, 'running')
    assert.is((await rollOuts.act(number, 'pause', 'tess')).state, 'paused')
    assert.is(await codeOf(() => rollOuts.act(number, 'approve', 'tom')), 'conflict')
    assert.is((await rollOuts.act(number, 'end', 'tess')).state, 'ended')
    assert.is(await codeOf(() => rollOuts.act(number, 'resume', 'tess')), 'conflict')
  })
})

test('who never answers counts as gone wrong, who is revoked counts not at all, and a late answer is believed', async () => {
  await inCloud(async (world) => {
    const { rollOuts, cameras } = world.cloud.parts
    const a = await openUnit(world, 'a')
    await openUnit(world, 'b', false)
    const { number } = await rollOuts.start({ ...WANTED, stages: [100] }, 'tess')
    await told(a)
    await cameras.revoke('b', 'tess')
    world.clock.advance(ANSWER_MS - MINUTE_MS)
    await rollOuts.upkeep()
    assert.is(await stateOf(world, number), 'running')
    world.clock.advance(MINUTE_MS)
    await rollOuts.upkeep()
    assert.is(await stateOf(world, number), 'halted')
    assert.equal((await rollOuts.get(number)).rollOut.counts, { silent: 1, skipped: 1 })
    await a.answer('confirmed')
    assert.equal((await rollOuts.get(number)).rollOut.counts, { confirmed: 1, skipped: 1 })
    await rollOuts.act(number, 'resume', 'tess')
    assert.is(await stateOf(world, number), 'done')
  })
})

test('where the policy wants two people, another one approves before any camera is told', async () => {
  await inCloud(async (world) => {
    const { rollOuts, policy } = world.cloud.parts
    const a = await openUnit(world, 'a')
    await policy.change(policy.current().version, { secondPerson: true }, 'paul')
    const { number, state } = await rollOuts.start({ ...WANTED, stages: [100] }, 'tess')
    assert.is(state, 'proposed')
    await rollOuts.upkeep()
    assert.is(await codeOf(() => rollOuts.act(number, 'approve', 'tess')), 'forbidden')
    assert.is(await codeOf(() => rollOuts.act(number, 'advance', 'tess')), 'conflict')
    assert.is(a.commands().length, 0)
    assert.equal((await rollOuts.act(number, 'approve', 'tom')).approvedBy, 'tom')
    await told(a)
  })
})

test('two that are started at the same moment get numbers of their own, and of one kind only the first is', async () => {
  await inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    await openUnit(world, 'a', false)
    const bundle = Buffer.from('a release')
    const sha256 = digest(bundle)
    await rollOuts.releases.receive(sha256, 0, bundle)
    const release = { version: '1.0.0', compatible: 'candor-arm64', sha256, bytes: bundle.length, notes: null }
    await rollOuts.releases.add(release, 'tess')
    const what = { kind: 'image' as const, sha256 }
    const started = await Promise.allSettled([
      rollOuts.start(WANTED, 'tess'),
      rollOuts.start({ ...WANTED, what }, 'tom'),
      rollOuts.start(WANTED, 'tom'),
    ])
    const outcomes = started.map((one) => (one.status === 'fulfilled' ? one.value.number : one.reason.code))
    assert.equal(outcomes, [1, 2, 'conflict'])
  })
})

test('a roll-out is taken back: its cameras get what they had before', async () => {
  await inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const a = await openUnit(world, 'a')
    const roll = async (minConfidence: number) => {
      const what = { kind: 'settings' as const, settings: { vision: { minConfidence } } }
      const before = a.commands().length
      const { number } = await rollOuts.start({ ...WANTED, what, stages: [100] }, 'tess')
      await told(a, before + 1)
      await a.answer('confirmed')
      await until('it is done', async () => (await stateOf(world, number)) === 'done')
      return number
    }
    const first = await roll(0.4)
    const second = await roll(0.6)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const back = (await callerOf(world.cloud)('POST', `/api/v1/roll-outs/${second}/revert`, { token })).json
    assert.equal([back.settings, back.number], [{ vision: { minConfidence: 0.4 } }, second + 1])
    const [entry] = await world.audited('roll_out.started')
    assert.equal(
      [entry?.subject?.id, entry?.detail.settingsSha256],
      [String(back.number), digest(Buffer.from('{"vision":{"minConfidence":0.4}}'))],
    )
    await rollOuts.act(back.number, 'end', 'tess')
    const own = await rollOuts.revert(first, 'tess')
    assert.equal(own.settings, {}, 'before the first the unit had its own')
    assert.is(await codeOf(() => rollOuts.revert(own.number, 'tess')), 'conflict')
  })
})

test('what is asked for must be possible: cameras, stages, settings', async () => {
  await inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const refused = (change: Partial<NewRollOut>) => codeOf(() => rollOuts.start({ ...WANTED, ...change }, 'tess'))
    assert.is(await refused({}), 'bad_input', 'there is no camera')
    await openUnit(world, 'a', false)
    assert.is(await refused({ cameras: ['zebra'] }), 'not_found')
    assert.is(await refused({ first: ['zebra'] }), 'not_found')
    for (const stages of [[10], [10, 10, 100], [100, 10], [50, 101]]) assert.is(await refused({ stages }), 'bad_input')
    assert.is(await refused({ what: { kind: 'image', sha256: 'a'.repeat(64) } }), 'not_found')
    const sized = (bytes: number) => ({ source: { settings: { x: 'x'.repeat(bytes) } } })
    const least = JSON.stringify(sized(0)).length
    const of = (bytes: number) => ({ what: { kind: 'settings' as const, settings: sized(bytes - least) } })
    assert.is(await refused(of(MAX_SETTINGS_BYTES + 1)), 'too_large')
    assert.is((await rollOuts.start({ ...WANTED, ...of(MAX_SETTINGS_BYTES) }, 'tess')).state, 'running')
    assert.is(await codeOf(() => rollOuts.get(99)), 'not_found')
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const call = callerOf(world.cloud)
    const json = { what: { kind: 'settings', settings: { broker: {} } }, reason: 'r' }
    assert.is((await call('POST', '/api/v1/roll-outs', { token, json })).status, 400)
    const shown = await call('GET', '/api/v1/roll-outs', { token })
    assert.equal([shown.status, shown.json.rollOuts.length], [200, 1])
    assert.not.ok(JSON.stringify((await call('GET', '/api/v1/roll-outs/1', { token })).json).includes('token'))
  })
})

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** PUT of raw bytes, GET with a range: what the tests' caller cannot send. */
function raw(
  world: TestCloud,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: Buffer,
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port: world.cloud.httpsPort, servername: 'localhost', ca: world.cloud.caPem }
    const outgoing = request({ ...to, agent: false, method, path, headers }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk) => chunks.push(chunk))
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }),
      )
      incoming.on('error', reject)
    })
    outgoing.on('error', reject).end(body)
  })
}

async function sendParts(world: TestCloud, token: string, bytes: Buffer, step = 100_000) {
  const sha256 = digest(bytes)
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' }
  for (let offset = 0; offset < bytes.length; offset += step) {
    const part = bytes.subarray(offset, offset + step)
    const path = `/api/v1/releases/${sha256}/parts?offset=${offset}`
    assert.is((await raw(world, 'PUT', path, headers, part)).status, 200)
  }
  return sha256
}

test('a release is sent in parts, goes on where it broke off, and counts only when it is whole', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const call = callerOf(world.cloud)
    const bundle = randomBytes(250_000)
    const sha256 = digest(bundle)
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' }
    const put = async (offset: number, part: Buffer) =>
      (await raw(world, 'PUT', `/api/v1/releases/${sha256}/parts?offset=${offset}`, headers, part)).status
    const json = { version: '1.2.0', compatible: 'candor-arm64', sha256, bytes: bundle.length }
    const add = async (change = {}) =>
      (await call('POST', '/api/v1/releases', { token, json: { ...json, ...change } })).status
    assert.is(await put(0, bundle.subarray(0, 100_000)), 200)
    const begun = await world.audited('release.upload')
    assert.equal(
      begun.map(({ subject, actor, outcome }) => [subject, actor.account, outcome]),
      [[{ kind: 'release', id: sha256 }, 'tess', 'allowed']],
    )
    assert.is(await put(0, bundle.subarray(0, 100_000)), 409, 'it is there')
    assert.is(await put(200_000, bundle.subarray(200_000)), 409, 'a part is missing')
    assert.is(await add(), 409)
    const here = await call('GET', `/api/v1/releases/${sha256}/parts`, { token })
    assert.equal(here.json, { bytes: 100_000 })
    assert.is(await put(100_000, bundle.subarray(100_000)), 200)
    assert.is(
      (await world.audited('release.upload')).length,
      3,
      'the first part, and the one that came again with its refusal',
    )
    assert.is(await add({ version: 'new' }), 400)
    assert.is(await add(), 201)
    const again = await call('POST', '/api/v1/releases', { token, json })
    assert.equal([again.status, /already/.test(again.json.error.message)], [409, true])
    assert.is((await call('GET', '/api/v1/releases', { token })).json.releases[0].sha256, sha256)
    const other = await sendParts(world, token, randomBytes(10))
    assert.is(await add({ sha256: other, bytes: 10 }), 409, 'the version is taken')

    const lying = digest(Buffer.from('something else'))
    await raw(world, 'PUT', `/api/v1/releases/${lying}/parts?offset=0`, headers, Buffer.from('not that'))
    assert.is(await add({ sha256: lying, bytes: 8, version: '1.3.0' }), 400)
    assert.equal((await call('GET', `/api/v1/releases/${lying}/parts`, { token })).json, { bytes: 0 })

    assert.is(await put(0, Buffer.alloc(MAX_PART_BYTES + 1)), 413)
    assert.is(await put(MAX_RELEASE_BYTES + 1, Buffer.from('x')), 400)
    assert.is(
      await codeOf(() => world.cloud.parts.rollOuts.releases.receive(sha256, MAX_RELEASE_BYTES, Buffer.from('x'))),
      'too_large',
    )
    assert.is((await call('DELETE', `/api/v1/releases/${sha256}`, { token })).status, 204)
    assert.not.ok(existsSync(join(world.folder, 'data', 'releases', `${sha256}.raucb`)))
  })
})

test('a release whose file was put in place and of which nothing was written down is added when it is sent again', async () => {
  await inCloud(async (world) => {
    const { releases } = world.cloud.parts.rollOuts
    const bytes = randomBytes(1_000)
    const sha256 = digest(bytes)
    const release = { version: '1.2.0', compatible: 'candor-arm64', sha256, bytes: bytes.length, notes: null }
    await mkdir(join(world.folder, 'data', 'releases'), { recursive: true })
    await writeFile(releases.path(sha256), bytes)
    assert.is(await releases.received(sha256), bytes.length)
    assert.is((await releases.add(release, 'tess')).sha256, sha256)
    const [damaged, named] = [digest(Buffer.from('whole')), { ...release, version: '1.3.0', bytes: 5 }]
    await writeFile(releases.path(damaged), 'wrong')
    assert.is(await codeOf(() => releases.add({ ...named, sha256: damaged }, 'tess')), 'bad_input')
    assert.is(await releases.received(damaged), 0, 'it is sent anew')
  })
})

test('so many releases are kept, and so many half ones; more is refused or makes room', async () => {
  await inCloud(async (world) => {
    const { releases } = world.cloud.parts.rollOuts
    const add = async (number: number) => {
      const bytes = Buffer.from(`release ${number}`)
      const sha256 = digest(bytes)
      await releases.receive(sha256, 0, bytes)
      const release = { version: `1.${number}.0`, compatible: 'candor-arm64', sha256, bytes: bytes.length, notes: null }
      return releases.add(release, 'tess')
    }
    for (let number = 0; number < MAX_RELEASES; number++) await add(number)
    assert.is(await codeOf(() => add(MAX_RELEASES)), 'too_large')
    const half = (number: number) => digest(Buffer.from(`half ${number}`))
    for (let number = 0; number <= MAX_PARTS_OPEN; number++) await releases.receive(half(number), 0, Buffer.from('x'))
    const left = await Promise.all(
      Array.from({ length: MAX_PARTS_OPEN + 1 }, (_, number) => releases.received(half(number))),
    )
    assert.is(left.filter((bytes) => bytes > 0).length, MAX_PARTS_OPEN)
    assert.is(left.at(-1), 1, 'the newest stays')
  })
})

test('only a unit whose turn it is fetches the release, from any byte on, and only so many at a time', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const { rollOuts } = world.cloud.parts
    // More than fits into the buffers between the two, so that a connection that is not read stays open.
    const bundle = randomBytes(12_000_000)
    const sha256 = await sendParts(world, token, bundle, 4_000_000)
    const release = { version: '2.0.0', compatible: 'candor-arm64', sha256, bytes: bundle.length, notes: null }
    await rollOuts.releases.add(release, 'tess')
    const units: Unit[] = []
    for (let i = 0; i <= MAX_FETCHING; i++) units.push(await openUnit(world, `unit-${i}`))
    const what = { kind: 'image' as const, sha256 }
    const { number } = await rollOuts.start({ ...WANTED, what, stages: [100] }, 'tess')
    await Promise.all(units.map((unit) => told(unit)))
    const fetchOf = (unit: Unit) => {
      const command = unit.commands().at(-1)
      return command !== undefined && 'fetch' in command ? command.fetch : (assert.unreachable() as never)
    }
    const [first] = units
    if (first === undefined) return assert.unreachable()
    const { path, port, token: mine } = fetchOf(first)
    assert.is(port, world.cloud.httpsPort)
    const get = (bearer: string, range?: string) =>
      raw(world, 'GET', path, { authorization: `Bearer ${bearer}`, ...(range === undefined ? {} : { range }) })
    const whole = await get(mine)
    assert.equal([whole.status, digest(whole.body)], [206, sha256])
    const rest = await get(mine, 'bytes=11999000-')
    assert.equal(
      [rest.status, rest.headers['content-range'], rest.body.equals(bundle.subarray(11_999_000))],
      [206, 'bytes 11999000-11999999/12000000', true],
    )
    for (const range of ['bytes=12000000-', 'bytes=0-5', 'bytes=-5', 'lines=1-'])
      assert.is((await get(mine, range)).status, 400)
    assert.is((await get('x'.repeat(32))).status, 401)
    assert.is((await get(token)).status, 401, 'a person’s session is none')
    assert.is(await codeOf(() => rollOuts.removeRelease(sha256)), 'conflict')

    const slow = units.slice(0, MAX_FETCHING).map((unit) => {
      const { token: bearer } = fetchOf(unit)
      const to = { host: '127.0.0.1', port, servername: 'localhost', ca: world.cloud.caPem, agent: false as const }
      return new Promise<() => void>((resolve, reject) => {
        const outgoing = request({ ...to, path, headers: { authorization: `Bearer ${bearer}` } }, (incoming) =>
          resolve(() => incoming.destroy()),
        )
        outgoing.on('error', reject).end()
      })
    })
    const ends = await Promise.all(slow)
    const last = fetchOf(units[MAX_FETCHING] ?? first).token
    assert.is((await get(last)).status, 503)
    assert.is((await get(mine)).status, 206, 'its own connection of before is given up for it')
    for (const end of ends) end()
    await until('there is room again', async () => (await get(last)).status === 206)
    await first.answer('confirmed')
    assert.is((await get(mine)).status, 401, 'its turn is over')
    await rollOuts.act(number, 'end', 'tess')
    assert.is((await get(last)).status, 401)
    await rollOuts.removeRelease(sha256)
  })
})

test('an acknowledgement of another camera, of no turn or of another shape changes nothing', async () => {
  await inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const [a, b] = [await openUnit(world, 'a'), await openUnit(world, 'b')]
    const { number } = await rollOuts.start({ ...WANTED, stages: [100] }, 'tess')
    await told(a)
    const targetId = a.commands().at(-1)?.targetId ?? ''
    const say = (unit: Unit, subject: string, change: Record<string, unknown> = {}) => {
      const ack = { targetId, state: 'confirmed', message: null, atMs: world.clock.nowMs(), ...change }
      return publish(unit.client, topics.ack(AGENCY, unit.camera, subject), Buffer.from(JSON.stringify(ack)))
    }
    await say(b, `configure/${targetId}`)
    const strange = newId()
    await say(a, `configure/${strange}`, { targetId: strange })
    await say(a, `configure/${strange}`)
    await say(a, `configure/${targetId}`, { state: 'splendid' })
    await say(a, `configure/${targetId}`, { message: 'x'.repeat(201) })
    assert.equal((await rollOuts.get(number)).rollOut.counts, { waiting: 2 })
    assert.is(await world.counted('candor_ingest_quarantined_total{reason="malformed"}'), 3)
    await say(a, `configure/${targetId}`, { message: 'x'.repeat(200) })
    assert.equal((await rollOuts.get(number)).rollOut.counts, { confirmed: 1, waiting: 1 })
    await say(a, `configure/${targetId}`, { state: 'failed' })
    assert.equal((await rollOuts.get(number)).rollOut.counts, { confirmed: 1, waiting: 1 }, 'its turn is over')
    world.clock.advance(HOUR_MS)
  })
})

test.run()
