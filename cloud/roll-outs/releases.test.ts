import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { openSqlite } from '../database/sqlite.ts'
import { codeOf } from '../testing.ts'
import { createReleases, DISK_RESERVE_BYTES, freeBytesOf, KEPT_UNFINISHED_MS, type Releases } from './releases.ts'

interface World {
  releases: Releases
  folder: string
  /** What the disk is said to have free, bytes. */
  freeBytes: number
  nowMs: number
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-releases-'))
  const database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: systemClock.nowMs() })
  const world = { folder: join(folder, 'releases'), freeBytes: 2 * DISK_RESERVE_BYTES, nowMs: Date.now() } as World
  const clock: Clock = { ...systemClock, nowMs: () => world.nowMs }
  const freeBytes = async () => world.freeBytes
  world.releases = createReleases({ database, folder: world.folder, clock, freeBytes })
  try {
    await work(world)
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const PART = Buffer.from('a part of a release')
const SHA256 = digest(Buffer.concat([PART, PART]))
const NAMED = { version: '1.2.0', compatible: 'candor-arm64', notes: null }

test('a part is taken while what the cameras’ data needs stays free, and refused when one byte of it would go', async () => {
  await inWorld(async (world) => {
    const { releases } = world
    world.freeBytes = DISK_RESERVE_BYTES + PART.length
    assert.is(await releases.receive(SHA256, 0, PART), PART.length)
    world.freeBytes -= 1
    const refused = await releases.receive(SHA256, PART.length, PART).then(
      () => assert.unreachable(),
      (thrown: unknown) => thrown as AppError,
    )
    assert.instance(refused, AppError)
    assert.is(refused?.code, 'storage_full')
    for (const bytes of [world.freeBytes, DISK_RESERVE_BYTES + PART.length])
      assert.match(refused?.message ?? '', String(bytes))
    assert.is(await releases.received(SHA256), PART.length, 'what was there stays')
    world.freeBytes += 1
    await releases.receive(SHA256, PART.length, PART)
    await releases.add({ ...NAMED, sha256: SHA256, bytes: 2 * PART.length }, 'tess')
  })
})

test('where there is no room nobody else’s half release goes for it', async () => {
  await inWorld(async (world) => {
    const { releases } = world
    const half = (number: number) => String(number).repeat(64)
    for (const number of [1, 2, 3, 4]) await releases.receive(half(number), 0, PART)
    world.freeBytes = DISK_RESERVE_BYTES
    assert.is(await codeOf(() => releases.receive(half(5), 0, PART)), 'storage_full')
    assert.is(readdirSync(world.folder).length, 4)
  })
})

test('the free space of a disk is told in bytes', async () => {
  const free = await freeBytesOf(tmpdir())
  assert.ok(Number.isSafeInteger(free) && free > 0, String(free))
})

test('a half release goes when nothing came for its time, and not before; one that was added stays', async () => {
  await inWorld(async (world) => {
    const { releases, folder } = world
    await releases.upkeep()
    const whole = digest(PART)
    await releases.receive(whole, 0, PART)
    await releases.add({ ...NAMED, sha256: whole, bytes: PART.length }, 'tess')
    await releases.receive(SHA256, 0, PART)
    // Put in place by a cloud that ended before it was written down.
    const left = digest(Buffer.from('left'))
    writeFileSync(releases.path(left), 'left')
    const atS = Math.floor(world.nowMs / 1_000)
    for (const name of readdirSync(folder)) utimesSync(join(folder, name), atS, atS)
    world.nowMs = atS * 1_000 + KEPT_UNFINISHED_MS - 1
    await releases.upkeep()
    assert.equal([await releases.received(SHA256), await releases.received(left)], [PART.length, 4])
    world.nowMs += 1
    await releases.upkeep()
    assert.equal([await releases.received(SHA256), await releases.received(left)], [0, 0])
    assert.ok(existsSync(releases.path(whole)))
  })
})

test.run()
