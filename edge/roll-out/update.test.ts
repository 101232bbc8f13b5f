import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem } from '../../shared/signing.ts'
import type { RollOutAck, UpdateCommand } from '../../shared/wire/index.ts'
import {
  FULL_MS,
  INSTALL_FILE,
  INSTALLING_MS,
  MAX_STATUS_BYTES,
  MAX_UNREADABLE,
  openUpdates,
  UPDATE_FILE,
  UPDATER_SILENCE_MS,
} from './update.ts'

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

const sent = (command: UpdateCommand) => [command.targetId, sealed(command)] as const

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
  clockState: { state: 'synced' | 'unsynced' } = { state: 'synced' }
  /** What a fetch comes upon before it asks anybody. */
  load: () => Promise<never> = async () => {
    throw new AppError('unavailable', 'not now')
  }
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
        load: () => {
          this.fetches += 1
          return this.load()
        },
      },
      clockState: this.clockState,
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
    world.leave(command, 'installing')
    assert.match(await take(commandTo(), await world.open()), /^refused 1\.4\.0 is being installed/)
    const kept = JSON.parse(readFileSync(join(world.folder, UPDATE_FILE), 'utf8'))
    assert.is(kept.command.targetId, command.targetId)
    world.leave(command, 'confirmed')
    assert.is(await take(commandTo(), await world.open()), 'fetching null')
  }))

/** What lies in the folder of releases. */
const lying = (world: World) => (existsSync(world.updates.folder) ? readdirSync(world.updates.folder).sort() : [])
const saidOf = ({ ack }: { ack: RollOutAck | null }) => `${ack?.state} ${ack?.message}`

test('an order that finds no room ends after its time and not before, says why, and leaves nothing behind', () =>
  inWorld(async (world) => {
    const command = commandTo()
    world.leave(command, 'fetching')
    mkdirSync(world.updates.folder)
    const bundle = `${command.release.sha256}.raucb`
    writeFileSync(join(world.updates.folder, `${bundle}.part`), 'half')
    world.load = async () => {
      throw new AppError('storage_full', 'no room for a release of 1000 bytes')
    }
    const updates = await world.open()
    await world.run(updates, () => world.nowMs - NOW_MS >= FULL_MS - 11 * MINUTE_MS)
    assert.equal([world.acks, lying(world)], [[], [`${bundle}.part`]])
    await world.run(updates, () => world.acks.length > 0 || world.nowMs - NOW_MS > 2 * FULL_MS)
    assert.is(saidOf(updates), 'failed no room for a release of 1000 bytes')
    const lastedMs = (world.acks[0]?.atMs ?? 0) - NOW_MS
    assert.ok(lastedMs >= FULL_MS && lastedMs < FULL_MS + 11 * MINUTE_MS, String(lastedMs))
    assert.equal(lying(world), [])
    assert.is((await updates.take(...sent(commandTo()))).state, 'fetching', 'the next one is taken')
  }))

test('room that was found in between lets the time begin anew', () =>
  inWorld(async (world) => {
    world.leave(commandTo(), 'fetching')
    let isFull = false
    world.load = async () => {
      isFull = (world.nowMs - NOW_MS) % HOUR_MS < HOUR_MS / 2
      throw new AppError(isFull ? 'storage_full' : 'unavailable', 'not now')
    }
    await world.run(await world.open(), () => world.nowMs - NOW_MS > 4 * FULL_MS)
    assert.equal(world.acks, [])
  }))

test('an order ends with its time while it is fetched, by a trusted clock or by as long as it had from its issue', () =>
  inWorld(async (world) => {
    const command = commandTo()
    for (const [state, issuedAtMs] of [
      ['synced', NOW_MS - HOUR_MS],
      ['unsynced', NOW_MS],
    ] as const) {
      world.nowMs = NOW_MS
      world.clockState.state = state
      world.acks.length = 0
      world.leave({ ...command, issuedAtMs }, 'fetching')
      const updates = await world.open()
      await world.run(updates, () => world.nowMs >= command.expiresAtMs - 11 * MINUTE_MS)
      assert.equal(world.acks, [], state)
      await world.run(updates, () => world.acks.length > 0 || world.nowMs > NOW_MS + 2 * DAY_MS)
      assert.match(saidOf(updates), /^failed it was not fetched/, state)
      const endMs = world.acks[0]?.atMs ?? 0
      assert.ok(endMs >= command.expiresAtMs && endMs < command.expiresAtMs + 11 * MINUTE_MS, state)
    }
  }))

test('a newer order takes the place of one that is being fetched, which is told; an older one does not', () =>
  inWorld(async (world) => {
    const first = commandTo()
    const other = { ...first.release, version: '1.5.0', sha256: 'b'.repeat(64) }
    const newer = commandTo({ issuedAtMs: NOW_MS + 1, release: other })
    const older = commandTo({ issuedAtMs: NOW_MS - 1 })
    const updates = await world.open()
    await updates.take(...sent(first))
    assert.match((await updates.take(...sent(older))).message ?? '', /was ordered after it/)
    // The bundle is whole and its hand-over only waits for the authority when the other order comes.
    const lay = ({ release }: UpdateCommand) =>
      writeFileSync(join(world.updates.folder, `${release.sha256}.raucb`), Buffer.alloc(release.bytes))
    mkdirSync(world.updates.folder)
    lay(first)
    world.load = async () => {
      if (world.fetches > 1) throw new AppError('unavailable', 'not now')
      assert.is((await updates.take(...sent(newer))).state, 'fetching')
      return { caPem: '' } as never
    }
    await world.run(updates, () => world.fetches > 1)
    assert.equal(lying(world), [`${first.release.sha256}.raucb`], 'it is not handed over any more')
    lay(newer)
    world.load = async () => ({ caPem: '' }) as never
    await world.run(updates, () => world.acks.some(({ state }) => state === 'installing'))
    assert.equal(
      world.acks.map(({ targetId, state, message }) => [targetId, state, message]),
      [
        [first.targetId, 'failed', '1.5.0 was ordered instead'],
        [newer.targetId, 'installing', null],
      ],
    )
    assert.is(JSON.parse(readFileSync(join(world.updates.folder, INSTALL_FILE), 'utf8')).id, newer.targetId)
    assert.is((await updates.take(...sent(commandTo({ issuedAtMs: NOW_MS + 2 })))).state, 'refused')
  }))

test('an order that was handed over is not replaced, although that was not written down', () =>
  inWorld(async (world) => {
    const command = commandTo()
    world.leave(command, 'fetching')
    mkdirSync(world.updates.folder)
    writeFileSync(join(world.updates.folder, INSTALL_FILE), JSON.stringify({ id: command.targetId }))
    const updates = await world.open()
    assert.match((await updates.take(...sent(commandTo()))).message ?? '', /is being installed/)
    await world.run(updates, () => world.acks.length > 0)
    assert.equal([world.fetches, saidOf(updates).slice(0, 6)], [0, 'failed'], 'nobody has taken it')
    assert.equal(lying(world), [], 'nobody will')
    assert.is((await updates.take(...sent(commandTo()))).state, 'fetching')
  }))

test('an updater that says for too long that it is at it is believed no more', () =>
  inWorld(async (world) => {
    const command = commandTo()
    world.leave(command, 'installing')
    world.say(command.targetId, 'installing', 'into slot b')
    const updates = await world.open()
    await world.run(updates, () => world.nowMs - NOW_MS >= INSTALLING_MS)
    assert.is(saidOf(updates), 'installing into slot b')
    await world.run(updates, () => world.acks.length > 1 || world.nowMs - NOW_MS > 3 * INSTALLING_MS)
    assert.match(saidOf(updates), /^failed .*has not ended it within 90 minutes/)
    // One that waits for the slot to show that it works is not given up here: the unit itself goes back.
    world.leave(command, 'installing')
    world.say(command.targetId, 'installed', 'in slot b')
    const after = await world.open()
    const fromMs = world.nowMs
    await world.run(after, () => world.nowMs - fromMs >= 3 * INSTALLING_MS)
    assert.is(saidOf(after), 'probation in slot b')
  }))

/** Reading a folder fails as a bad block does, with a system's error. */
function layUnreadable(world: World, { release }: UpdateCommand): number {
  const part = join(world.updates.folder, `${release.sha256}.raucb.part`)
  mkdirSync(part, { recursive: true })
  return statSync(part).size
}

test('a bad block under what was fetched ends no camera: it is fetched anew, and given up when that happens again and again', () =>
  inWorld(async (world) => {
    const { release } = commandTo()
    const bytes = layUnreadable(world, commandTo())
    const command = commandTo({ release: { ...release, bytes }, fetch: { port: 1, path: '/a', token: 'x' } })
    world.leave(command, 'fetching')
    world.load = async () => ({ caPem: '' }) as never
    const updates = await world.open()
    await world.run(updates, () => world.fetches > 2)
    assert.equal([world.acks, lying(world)], [[], []], 'it goes on without the part')
    world.fetches = 0
    world.load = async () => {
      layUnreadable(world, command)
      return { caPem: '' } as never
    }
    await world.run(await world.open(), () => world.acks.length > 0 || world.fetches > 2 * MAX_UNREADABLE)
    assert.equal([world.fetches, world.acks[0]?.state], [MAX_UNREADABLE, 'failed'])
    assert.match(world.acks[0]?.message ?? '', /cannot be read again/)
  }))

test('a disk that refuses is tried again until it does not, and a fault of ours ends the update and nothing else', () =>
  inWorld(async (world) => {
    world.leave(commandTo(), 'fetching')
    writeFileSync(world.updates.folder, 'in the place of the folder')
    const updates = await world.open()
    await world.run(updates, () => world.nowMs - NOW_MS > HOUR_MS)
    assert.equal([world.fetches, world.acks], [0, []])
    rmSync(world.updates.folder)
    await world.run(updates, () => world.fetches > 1)
    assert.equal(world.acks, [])
    world.load = async () => {
      throw new TypeError('it is not a function')
    }
    await world.run(updates, () => world.acks.length > 0)
    assert.is(saidOf(updates), 'failed it is not a function')
    assert.is((await updates.take(...sent(commandTo()))).state, 'fetching', 'the next one is taken')
  }))

test('an order that cannot be read any more is none, and the camera starts', () =>
  inWorld(async (world) => {
    mkdirSync(join(world.folder, UPDATE_FILE))
    assert.is((await world.open()).ack, null)
  }))

test.run()
