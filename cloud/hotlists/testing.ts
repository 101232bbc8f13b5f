/** What the tests of the cloud's lists share: the real database in a throw-away folder, and a broker's retained messages. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import { newId, newSecret } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, newSigningKeyPem } from '../../shared/signing.ts'
import { type HotlistRules, hotlistRulesSchema, type Policy } from '../../shared/wire/policy.ts'
import type { Database } from '../database/database.ts'
import { openSqlite } from '../database/sqlite.ts'
import { createHotlists, type Hotlists, type ImportReport, type ImportRequest } from '../hotlists.ts'
import { type ListKeys, openListKeys } from '../list-keys.ts'

export const keyPem = newSigningKeyPem().privateKeyPem

export interface World {
  hotlists: Hotlists
  database: Database
  /** What is retained on the broker: topic → payload. */
  retained: Map<string, Buffer>
  /** Topics in the order in which they were published. */
  order: string[]
  nowMs: number
  /** Turns of the event loop that the lists gave away. */
  turns: number
  keys: ListKeys
  /** What is published does not get through. */
  brokerFails: boolean
  /** What the policy says. */
  upload: Policy['upload']
  rules: HotlistRules
  /** Entries that raise no alert. */
  suppressed: Set<string>
  /** Runs in each of them, before the lists go on. */
  onTurn: (() => Promise<void>) | null
  import(csv: string, more?: Partial<ImportRequest>): Promise<ImportReport>
  /** Whatever goes of the list before: approved by a second person. */
  replace(csv: string): Promise<void>
  /** Closes and opens everything again. */
  restart(): Promise<void>
}

export async function inWorld(
  work: (world: World) => Promise<void>,
  limits: { maxMatchedEntries?: number } = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-hotlists-'))
  const path = join(folder, 'cloud.db')
  const world = {
    suppressed: new Set(),
    upload: 'all' as Policy['upload'],
    rules: hotlistRulesSchema.parse({}),
    retained: new Map(),
    order: [] as string[],
    nowMs: systemClock.nowMs(),
    turns: 0,
  } as World
  const clock: Clock = {
    ...systemClock,
    nowMs: () => world.nowMs,
    async sleep(ms, signal) {
      world.turns += 1
      await world.onTurn?.()
      await systemClock.sleep(ms, signal)
    },
  }
  async function open(): Promise<void> {
    world.keys = await openListKeys({
      ...{ file: join(folder, 'list-digest.key'), agency: 'springfield', newSecret, signer: createSigner(keyPem) },
      ...{ audit: { append: async () => ({ seq: 1 }) }, clock, log: silentLog, publish: async () => {} },
    })
    world.database = openSqlite({ path, nowMs: world.nowMs })
    world.hotlists = await createHotlists({
      database: world.database,
      agency: 'springfield',
      signer: createSigner(keyPem),
      keys: world.keys,
      isSuppressed: (_, entryId) => world.suppressed.has(entryId),
      policy: () => ({ upload: world.upload, hotlists: world.rules }),
      clock,
      newId,
      log: silentLog,
      ...limits,
    })
    await world.hotlists.publishCurrent(async (topic, payload, options) => {
      if (!options.retain) throw new Error('what is published of a list is retained')
      if (world.brokerFails) throw new AppError('unavailable', 'the broker is closing')
      world.order.push(topic)
      if (payload.length === 0) world.retained.delete(topic)
      else world.retained.set(topic, payload)
    })
  }
  world.import = (csv, more = {}) =>
    world.hotlists.import({
      list: 'stolen',
      bytes: Buffer.from(csv),
      settings: {},
      dryRun: false,
      skipBad: false,
      allowEmpty: false,
      by: 'ada',
      ...more,
    })
  world.replace = async (csv) => {
    const { applied, pendingVersion } = await world.import(csv)
    if (!applied) await world.hotlists.approve('stolen', pendingVersion ?? 0, 'bob')
  }
  world.restart = async () => {
    await world.database.close()
    await open()
  }
  await open()
  try {
    await work(world)
  } finally {
    await world.database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<AppError> {
  try {
    await work
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== code) throw new Error(`not ${code}`, { cause: thrown })
    return thrown
  }
  throw new Error(`expected ${code}`)
}

export const plates = (...all: string[]) => `plate\n${all.join('\n')}\n`
