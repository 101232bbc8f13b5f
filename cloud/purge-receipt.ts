/**
 * What a purge says in the audit of the rows that it deleted: for each class how many, of what time, and a digest by which a later
 * claim can be checked. Pure; called by retention.ts, which the owners of the tables tell what went.
 */
import { createHash } from 'node:crypto'
import type { AuditRecord } from './audit/entry.ts'

/** What a policy or the broker keeps, each with a time of its own. */
export const PURGE_CLASSES = [
  'unmatched',
  'matched',
  'crops',
  'alerts',
  'trail',
  'quarantine',
  'queue',
  'entries',
  'held',
] as const
export type PurgeClass = (typeof PURGE_CLASSES)[number]

/** Rows of one receipt; a longer purge leaves several. Sorting them takes about 10 ms. */
export const RECEIPT_ROWS = 10_000

export interface Deleted {
  /** The row's key, its parts joined by `/`. */
  id: string
  /**
   * SHA-256 of what the row held, hex; null where that is so little (a plate and a list) that whoever knows the key could find it by
   * trying.
   */
  sha256: string | null
  /** Where its retention started. */
  retainedFromMs: number
}

/** What the owner of tables deleted in one step. */
export interface PurgeStep {
  deleted: Partial<Record<PurgeClass, readonly Deleted[]>>
  /** Less was left than the step's limit. */
  isDone: boolean
}

export interface Receipts {
  add(step: PurgeStep): void
  /** Rows that no receipt tells of yet. */
  readonly rows: number
  /** Of those; null: there are none. They stay until `settled`, so that a receipt that cannot be written is not lost. */
  record(): Pick<AuditRecord, 'operation' | 'detail'> | null
  settled(): void
}

/**
 * SHA-256, hex, over one line a row, `{id} {sha256}\n` in UTF-8 with `-` for no sha256, sorted by their bytes. Who has the rows
 * themselves, in a backup of before or as a copy of the database file, makes the same lines and compares.
 */
export function receiptDigest(rows: readonly Deleted[]): string {
  const lines = rows.map(({ id, sha256 }) => `${id} ${sha256 ?? '-'}\n`).sort(byBytes)
  const hash = createHash('sha256')
  for (const line of lines) hash.update(line)
  return hash.digest('hex')
}

// Keys and digests are ASCII: code units are bytes.
const byBytes = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

export function createReceipts(): Receipts {
  let held = new Map<PurgeClass, Deleted[]>()
  let rows = 0
  return {
    get rows() {
      return rows
    },
    add({ deleted }) {
      for (const one of PURGE_CLASSES) {
        const more = deleted[one] ?? []
        if (more.length === 0) continue
        const list = held.get(one) ?? []
        for (const row of more) list.push(row)
        held.set(one, list)
        rows += more.length
      }
    },
    record() {
      if (rows === 0) return null
      const detail: NonNullable<AuditRecord['detail']> = {}
      for (const one of PURGE_CLASSES) {
        const of = held.get(one) ?? []
        detail[one] = of.length
        if (of.length === 0) continue
        detail[`${one}FromMs`] = of.reduce((least, row) => Math.min(least, row.retainedFromMs), Number.MAX_SAFE_INTEGER)
        detail[`${one}ToMs`] = of.reduce((most, row) => Math.max(most, row.retainedFromMs), 0)
        detail[`${one}Digest`] = receiptDigest(of)
      }
      return { operation: 'retention.purged', detail }
    },
    settled() {
      held = new Map()
      rows = 0
    },
  }
}
