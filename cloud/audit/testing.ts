/**
 * What several tests of the audit share: a log in a throw-away folder, written by the real writer or, where it must be long, row by
 * row as that writes it; and a random source that can be run again from its seed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { random } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, newSigningKeyPem, type Signer } from '../../shared/signing.ts'
import { openDatabase, type SqliteDatabase } from '../../shared/sqlite.ts'
import type { Database } from '../database/database.ts'
import { openSqlite } from '../database/sqlite.ts'
import { type AuditRecord, CHAIN_START, type ChainPoint, CLOUD_ACTOR, makeRow } from './entry.ts'
import { sealHead } from './head.ts'
import { type Audit, openAudit } from './log.ts'
import { type Node, nodesOf } from './tiles.ts'
import { createFrontier } from './tree.ts'
import { verifyAudit } from './verify.ts'

export const AGENCY = 'springfield'
export const NOW_MS = Date.parse('2026-02-03T04:05:06Z')

export const RECORD: AuditRecord = {
  operation: 'search.run',
  outcome: 'allowed',
  actor: CLOUD_ACTOR,
  reason: 'burglary on Elm St',
}

export interface LogWorld {
  readonly folder: string
  readonly databaseFile: string
  readonly headFile: string
  readonly signer: Signer
  open(clock?: Clock): Promise<{ audit: Audit; database: Database; close(): Promise<void> }>
  verify(): ReturnType<typeof verifyAudit>
  /** Writes `count` entries past the writer; with `tree` false as it was before there was one. */
  fill(count: number, options?: { tree?: boolean; change?: (record: AuditRecord, seq: number) => AuditRecord }): void
  /** Raw access, past the triggers. */
  tamper(work: (sqlite: SqliteDatabase) => void): void
}

export async function inLogWorld(work: (world: LogWorld) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-log-'))
  const databaseFile = join(folder, 'cloud.db')
  const headFile = join(folder, 'elsewhere', 'head.json')
  const signer = createSigner(newSigningKeyPem().privateKeyPem)
  const raw = <T>(work: (sqlite: SqliteDatabase) => T): T => {
    const sqlite = openDatabase(databaseFile)
    try {
      return work(sqlite)
    } finally {
      sqlite.close()
    }
  }
  const world: LogWorld = {
    ...{ folder, databaseFile, headFile, signer },
    async open(clock = systemClock) {
      const database = openSqlite({ path: databaseFile, nowMs: NOW_MS })
      try {
        const audit = await openAudit({
          ...{ database, agency: AGENCY, headPath: headFile, digestKey: Buffer.alloc(32, 7), signer, isNew: true },
          ...{ clock, log: silentLog },
        })
        return {
          audit,
          database,
          async close() {
            await audit.close()
            await database.close()
          },
        }
      } catch (thrown) {
        await database.close()
        throw thrown
      }
    },
    verify: () => verifyAudit({ database: databaseFile, head: headFile, publicKeyPem: signer.publicKeyPem }),
    fill(count, { tree = true, change = (record: AuditRecord) => record } = {}) {
      openSqlite({ path: databaseFile, nowMs: NOW_MS }).close()
      const frontier = createFrontier()
      const nodes: Node[] = []
      let point: ChainPoint = CHAIN_START
      raw((sqlite) => {
        const entry = sqlite.prepare('INSERT INTO audit_entries (seq, bytes, hash) VALUES (?, ?, ?)')
        const node = sqlite.prepare('INSERT INTO audit_nodes (level, position, hash) VALUES (?, ?, ?)')
        sqlite.transaction(() => {
          for (let i = 1; i <= count; i++) {
            const record = change({ ...RECORD, results: i }, i)
            const row = makeRow(record, { previous: point, atMs: NOW_MS + i, agency: AGENCY })
            entry.run(row.seq, row.bytes, row.hash)
            point = { seq: row.seq, hash: row.hash.toString('hex') }
            nodes.push(...nodesOf(frontier.append(row.hash)))
          }
          if (tree) for (const { level, position, hash } of nodes) node.run(level, position, hash)
        })()
      })
      mkdirSync(dirname(headFile), { recursive: true })
      const head = { agency: AGENCY, seq: point.seq, hash: point.hash, atMs: NOW_MS }
      writeFileSync(headFile, sealHead(signer, head, tree ? frontier.root() : null))
    },
    tamper(change) {
      raw((sqlite) => {
        const triggers = sqlite.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit%'")
        for (const { name } of triggers.all() as { name: string }[]) sqlite.exec(`DROP TRIGGER ${name}`)
        change(sqlite)
      })
    },
  }
  try {
    await work(world)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface Seeded {
  readonly seed: number
  /** A whole number from 0 to `limit` less one. */
  below(limit: number): number
}

/** mulberry32; `given`: the seed of a trial that failed, from the environment, or undefined for a new one. */
export function seededRandom(given: string | undefined): Seeded {
  const seed = given === undefined ? Math.floor(random() * 2 ** 32) : Number(given)
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { seed, below: (limit) => Math.floor(next() * limit) }
}
