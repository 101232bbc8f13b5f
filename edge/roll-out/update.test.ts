import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem } from '../../shared/signing.ts'
import type { RollOutAck, UpdateCommand } from '../../shared/wire/index.ts'
import { MAX_STATUS_BYTES, openUpdates, UPDATE_FILE, UPDATER_SILENCE_MS } from './update.ts'

const NOW_MS = 1_790_000_000_000
const { privateKeyPem, publicKeyPem } = newSigningKeyPem()
const signer = createSigner(privateKeyPem)

const commandTo = (change: Partial<UpdateCommand> = {}): UpdateCommand => ({
  ...{ agency: 'springfield', cameraId: 'north', targetId: newId(), issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + DAY_MS },
  release: { version: '1.4.0', compatible: 'candor-arm64', sha256: 'a'.repeat(64), bytes: 1_000 },
  fetch: { port: 8443, path: '/api/v1/releases/a/bundle', token: 'x'.repeat(32) },
  ...change,
})
const sealed = (command: UpdateCommand, by = signer) =>
  Buffer.from(JSON.stringify(by.seal(Buffer.from(JSON.stringify(command)))))

/** A unit whose time passes when it sleeps, and that asks for its certificate's authority before it fetches. */
async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const world = new World()
  try {
    await work(world)
  } finally {
    rmSync(world.folder, { recursive: true })
  }
}

class World {
  readonly folder = mkdtempSync(join(tmpdir(), 'candor-update-'))
  readonly updates = { folder: join(this.folder, 'updates'), statusFile: join(this.folder, 'status.json') }
  readonly acks: RollOutAck[] = []
  nowMs = NOW_MS
  fetches = 0
  /** Called with each sleep: what goes on meanwhile. */
  onSleep: () => void = () => {}

  open(updates: { folder: string; statusFile: string } | null = this.updates) {
    const clock: Clock = {
      nowMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      sleep: async (ms, signal) => {
        this.nowMs += ms
        this.onSleep()
        signal?.throwIfAborted()
      },
    }
    return openUpdates({
      ...{ agency: 'springfield', cameraId: 'north', host: 'localhost', dataFolder: this.folder, updates, clock },
      verifier: createVerifier([publicKeyPem]),
      identity: {
        load: async () => {
          this.fetches += 1
          throw new AppError('unavailable', 'not now')
        },
      },
      clockState: { state: 'synced' },
      onAck: (ack) => this.acks.push(ack),
      random: () => 0,
      log: silentLog,
    })
  }

  /** As a process left it: with that acknowledgement of the command. */
  leave(command: UpdateCommand, state: RollOutAck['state']): void {
    const ack = { targetId: command.targetId, state, message: null, atMs: NOW_MS }
    writeFileSync(join(this.folder, UPDATE_FILE), JSON.stringify({ command, ack }))
  }

  say(id: string, state: string, message: string | null = null): void {
    writeFileSync(this.updates.statusFile, JSON.stringify({ id, state, message }))
  }

  /** Until `holds`, asked with each sleep. */
  async run(updates: Awaited<ReturnType<typeof openUpdates>>, holds: () => boolean): Promise<void> {
    const stop = new AbortController()
    this.onSleep = () => {
      if (holds()) stop.abort()
    }
    await updates.run(stop.signal)
  }
}

test('what the updater has already is not fetched again, although nobody could write down that it was handed over', () =>
  inWorld(async (world) => {
    const command = commandTo()
    world.leave(command, 'fetching')
    world.say(command.targetId, 'installing', 'into slot b')
    const updates = await world.open()
    await world.run(updates, () => world.acks.length > 0 || world.fetches > 0)
    assert.is(world.fetches, 0)
    assert.equal([updates.ack?.state, updates.ack?.message], ['installing', 'into slot b'])
  }))

test('a status of another order, of another shape or of too many bytes does not keep it from being fetched', () =>
  inWorld(async (world) => {
    const command = commandTo()
    world.leave(command, 'fetching')
    const fetched = async () => {
      const before = world.fetches
      await world.run(await world.open(), () => world.fetches > before || world.nowMs > NOW_MS + DAY_MS)
      return world.fetches > before
    }
    world.say(newId(), 'confirmed')
    assert.ok(await fetched())
    writeFileSync(world.updates.statusFile, 'no JSON')
    assert.ok(await fetched())
    const whole = JSON.stringify({ id: command.targetId, state: 'installing', message: null })
    writeFileSync(world.updates.statusFile, whole.padEnd(MAX_STATUS_BYTES + 1))
    assert.ok(await fetched())
    assert.equal(world.acks, [])
  }))

test('an updater that says nothing is waited for so long and no longer, and what it says counts from then on', () =>
  inWorld(async (world) => {
    const command = commandTo()
    world.leave(command, 'installing')
    const updates = await world.open()
    await world.run(updates, () => world.nowMs - NOW_MS >= UPDATER_SILENCE_MS)
    assert.equal(world.acks, [])
    await world.run(updates, () => world.acks.length > 0)
    assert.match(`${updates.ack?.state} ${updates.ack?.message}`, /^failed .*does not answer/)
    world.leave(command, 'installing')
    const after = await world.open()
    world.say(command.targetId, 'installed', 'in slot b')
    await world.run(after, () => after.ack?.state === 'probation')
    world.say(command.targetId, 'rolled_back', 'slot b did not work; back in a')
    await world.run(after, () => after.ack?.state === 'rolled_back')
    assert.is(after.ack?.message, 'slot b did not work; back in a')
  }))

test('a command is taken once, for this camera, signed, in time, and not while another is under way', () =>
  inWorld(async (world) => {
    mkdirSync(world.updates.folder)
    const updates = await world.open()
    const take = async (command: UpdateCommand, to = updates, targetId = command.targetId, by = signer) => {
      const { state, message } = await to.take(targetId, sealed(command, by))
      return `${state} ${message}`
    }
    assert.match(await take(commandTo({ cameraId: 'south' })), /^refused for another camera/)
    assert.match(await take(commandTo({ agency: 'shelbyville' })), /^refused for another camera/)
    assert.match(await take(commandTo(), updates, newId()), /^refused of another turn/)
    assert.match(await take(commandTo({ expiresAtMs: NOW_MS })), /^refused too late/)
    const stranger = createSigner(newSigningKeyPem().privateKeyPem)
    assert.match(await take(commandTo(), updates, undefined, stranger), /^refused /)
    assert.match(await take(commandTo(), await world.open(null)), /^refused .*not updated by images/)
    assert.is(updates.ack, null, 'nothing is stored for those')

    const command = commandTo()
    assert.is(await take(command), 'fetching null')
    assert.is(await take(command), 'fetching null')
    assert.match(await take(commandTo()), /^refused 1\.4\.0 is being installed/)
    const kept = JSON.parse(readFileSync(join(world.folder, UPDATE_FILE), 'utf8'))
    assert.is(kept.command.targetId, command.targetId)
    world.leave(command, 'confirmed')
    assert.is(await take(commandTo(), await world.open()), 'fetching null')
  }))

test.run()
