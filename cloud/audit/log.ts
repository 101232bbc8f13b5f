/**
 * The audit's writer: append-only, hash-chained and in a Merkle tree, its signed head and checkpoint outside the database.
 * `append` resolves when the entry is durable in both. Everyone who must be able to answer for an action calls it before
 * answering. Owns table audit_entries.
 */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Signer } from '../../shared/signing.ts'
import type { Database } from '../database/database.ts'
import {
  type AuditEntry,
  type AuditRecord,
  type AuditRow,
  CHAIN_START,
  type ChainPoint,
  CLOUD_ACTOR,
  checkRow,
  makeRow,
  parseEntry,
  plateDigest,
} from './entry.ts'
import { createHeadFile, type Head } from './head.ts'
import { openAuditLock } from './lock.ts'
import { insertNodes, plantTree, readFrontier } from './nodes.ts'
import { type Node, nodesOf } from './tiles.ts'
import { createFrontier, EMPTY_ROOT, type Frontier } from './tree.ts'

/** Entries committed and signed together. */
export const MAX_GROUP_ENTRIES = 256
/** Entries waiting for the disk; beyond that the caller is refused. */
export const MAX_PENDING_ENTRIES = 10_000
/** Entries of one page of the list. */
export const MAX_AUDIT_PAGE = 500

export interface AuditDeps {
  database: Database
  agency: string
  /** File of the signed head; its folder is made. Best on another disk than the database. */
  headPath: string
  digestKey: Uint8Array
  signer: Signer
  /** Nobody has an account yet. Only such a cloud may begin an audit: the first account is written down before it is made. */
  isNew: boolean
  clock: Clock
  log: Log
}

export interface Audit {
  /**
   * Resolves when the entry is durable and its head signed. Throws `unavailable` when it cannot be written (the caller must
   * then refuse what it was about to do), `integrity` when the log is no longer what was signed, `bad_input` for a wrong record.
   */
  append(record: AuditRecord): Promise<{ seq: number }>
  /** Newest first: entries with a number below `before` (null: from the end), at most MAX_AUDIT_PAGE. */
  list(options: { before: number | null; limit: number }): Promise<AuditEntry[]>
  /** Keyed digest of a normalised plate or a pattern, as it stands in entries. */
  plateDigest(plate: string): string
  /** Keyed proof, hex, that this cloud has said `facts` in connection with an entry; nothing that a plate's digest could be. */
  voucher(facts: readonly (string | number)[]): string
  /** The newest signed checkpoint, a note [c2sp.org/tlog-checkpoint]: everything up to its size is in the database. */
  checkpoint(): Promise<string>
  readonly publicKeyPem: string
  close(): Promise<void>
}

interface Pending {
  record: AuditRecord
  resolve(place: { seq: number }): void
  reject(error: AppError): void
}

/** Opens the log and compares it with the signed head. Throws `integrity` when they differ other than by a crash. */
export async function openAudit(deps: AuditDeps): Promise<Audit> {
  const { database, agency, signer, clock, log } = deps
  const head = createHeadFile({ path: deps.headPath, agency, signer })
  await mkdir(dirname(deps.headPath), { recursive: true, mode: 0o700 })
  const lock = openAuditLock(`${deps.headPath}.lock`, clock)
  const pending: Pending[] = []
  let writing: Promise<void> | null = null
  let closed = false
  /** The tree's right edge where this process last saw the log end. */
  let edge: { end: ChainPoint; tree: Frontier } | null = null
  /** Before the first entry of this process a head may lack its checkpoint: it is from before there was a tree. */
  let planted = false

  async function lastPoint(): Promise<ChainPoint> {
    const [row] = await database.read(
      database.build.selectFrom('audit_entries').select(['seq', 'hash']).orderBy('seq', 'desc').limit(1),
    )
    return row === undefined ? CHAIN_START : { seq: row.seq, hash: row.hash.toString('hex') }
  }

  /** The tree of everything up to `end`, which is where `signed` says; another process may have moved it on. */
  async function treeAt(end: ChainPoint, signed: Head): Promise<Frontier> {
    if (signed.checkpoint === null && planted) throw broken('the signed head has lost its checkpoint')
    if (edge === null || edge.end.seq !== end.seq || edge.end.hash !== end.hash)
      edge = { end, tree: await readFrontier(database, end.seq) }
    if (signed.checkpoint !== null && !signed.checkpoint.root.equals(edge.tree.root()))
      throw broken('the tree is not the one that was signed')
    return edge.tree
  }

  /**
   * Brings head and table together before anything is added. Returns the place to go on from with its tree, whether a checkpoint
   * is signed for it, and a record of what had to be done, if anything. Called with the lock held.
   */
  async function settle() {
    const { end, signed, recovered } = await meetHead()
    if (signed === null) return { end, recovered, tree: createFrontier(), hasCheckpoint: true }
    return { end, recovered, tree: await treeAt(end, signed), hasCheckpoint: signed.checkpoint !== null }
  }

  /** The end of the table and the head that covers it; null: the log has just begun. */
  async function meetHead(): Promise<{ end: ChainPoint; signed: Head | null; recovered: AuditRecord | null }> {
    const end = await lastPoint()
    const signed = await head.read()
    if (signed === null && end.seq === 0) {
      if (!deps.isNew) throw broken('there are accounts, and neither an entry nor a signed head')
      await head.prepare(CHAIN_START, EMPTY_ROOT, clock.nowMs())
      await head.adopt()
      return { end, signed: null, recovered: null }
    }
    if (signed !== null && signed.agency !== agency) {
      throw broken(`the signed head is of agency ${signed.agency}, not ${agency}`)
    }
    if (signed !== null && samePlace(signed, end)) return { end, signed, recovered: null }
    const next = await head.readNext()
    if (signed !== null && next !== null && samePlace(next, end) && next.seq > signed.seq) {
      await head.adopt()
      log.warn('audit_head_recovered', { seq: end.seq, count: end.seq - signed.seq })
      return {
        end,
        signed: next,
        recovered: {
          operation: 'audit.head_recovered',
          outcome: 'allowed',
          actor: CLOUD_ACTOR,
          detail: { signedSeq: signed.seq, recoveredSeq: end.seq },
        },
      }
    }
    if (signed === null) throw broken(`there are ${end.seq} entries and no signed head`)
    if (signed.seq > end.seq) throw broken(`${signed.seq} entries were signed and ${end.seq} are there`)
    if (signed.seq < end.seq) throw broken(`${end.seq} entries are there and only ${signed.seq} were signed`)
    throw broken('the last entry is not the one that was signed')
  }

  async function writeGroup(records: readonly AuditRecord[]): Promise<number[]> {
    return lock.exclusively(async () => {
      const { end, recovered, tree, hasCheckpoint } = await settle()
      const rows: AuditRow[] = []
      const nodes: Node[] = []
      const numbers: number[] = []
      const grown = tree.copy()
      let previous = end
      for (const record of recovered === null ? records : [recovered, ...records]) {
        const row = makeRow(record, { previous, atMs: clock.nowMs(), agency })
        rows.push(row)
        nodes.push(...nodesOf(grown.append(row.hash)))
        if (record !== recovered) numbers.push(row.seq)
        previous = { seq: row.seq, hash: row.hash.toString('hex') }
      }
      if (rows.length === 0 && hasCheckpoint) return numbers
      await head.prepare(previous, grown.root(), clock.nowMs())
      if (rows.length > 0) {
        const entries = database.build.insertInto('audit_entries').values(rows)
        await database.writeBatch([entries, ...insertNodes(database, nodes)])
        edge = { end: previous, tree: grown }
      }
      await head.adopt()
      return numbers
    })
  }

  async function drain(): Promise<void> {
    while (pending.length > 0) {
      const group = pending.splice(0, MAX_GROUP_ENTRIES)
      try {
        const numbers = await writeGroup(group.map((waiting) => waiting.record))
        for (const [i, waiting] of group.entries()) waiting.resolve({ seq: numbers[i] ?? 0 })
      } catch (thrown) {
        const error = toAppError(thrown)
        log.error('audit_not_written', { code: error.code, error: error.message, count: group.length })
        for (const waiting of group) waiting.reject(refusal(error))
      }
    }
    writing = null
  }

  try {
    const signed = await head.read()
    if (signed?.checkpoint === null) await plantTree(database, signed, clock)
    await writeGroup([])
    planted = true
    await checkTail(database)
  } catch (thrown) {
    lock.close()
    throw thrown
  }

  return {
    publicKeyPem: signer.publicKeyPem,
    plateDigest: (plate) => plateDigest(deps.digestKey, plate),
    // JSON, and so with brackets, which neither a plate nor a pattern has.
    voucher: (facts) => plateDigest(deps.digestKey, JSON.stringify(facts)),
    append(record) {
      if (closed) return Promise.reject(new AppError('unavailable', 'the audit is closed'))
      if (pending.length >= MAX_PENDING_ENTRIES) {
        return Promise.reject(new AppError('unavailable', 'the audit cannot keep up'))
      }
      try {
        // A record that cannot be written must fail alone, not with the group that it would be in.
        makeRow(record, { previous: CHAIN_START, atMs: clock.nowMs(), agency })
      } catch (thrown) {
        return Promise.reject(thrown)
      }
      return new Promise((resolve, reject) => {
        pending.push({ record, resolve, reject })
        writing ??= drain()
      })
    },
    async checkpoint() {
      const signed = await head.read()
      if (signed?.checkpoint == null) throw broken('the signed head is gone')
      return signed.checkpoint.note
    },
    async list({ before, limit }) {
      const rows = await database.read(
        database.build
          .selectFrom('audit_entries')
          .select('bytes')
          .where('seq', '<', before ?? Number.MAX_SAFE_INTEGER)
          .orderBy('seq', 'desc')
          .limit(Math.min(limit, MAX_AUDIT_PAGE)),
      )
      // What went by policy has no bytes.
      return rows.filter(({ bytes }) => bytes.length > 0).map(({ bytes }) => parseEntry(bytes))
    },
    async close() {
      closed = true
      await writing
      lock.close()
    },
  }
}

/** The end of the log is looked at on every start; all of it by `candor audit verify`. */
async function checkTail(database: Database): Promise<void> {
  const rows = await database.read(
    database.build
      .selectFrom('audit_entries')
      .selectAll()
      .orderBy('seq', 'desc')
      .limit(MAX_GROUP_ENTRIES + 1),
  )
  rows.reverse()
  const first = rows.shift()
  if (first === undefined) return
  let point: ChainPoint = { seq: first.seq, hash: first.hash.toString('hex') }
  for (const row of rows) {
    if (row.bytes.length === 0) {
      // Gone by policy, which the verifier compares with what the log says of it.
      point = { seq: row.seq, hash: row.hash.toString('hex') }
      continue
    }
    const checked = checkRow(row, point)
    if (!checked.ok) throw broken(`entry ${point.seq + 1}: ${checked.problem}`)
    point = checked.point
  }
}

function samePlace(head: { seq: number; hash: string }, end: ChainPoint): boolean {
  return head.seq === end.seq && head.hash === end.hash
}

function broken(problem: string): AppError {
  return new AppError('integrity', `the audit does not fit its signed head: ${problem}`, {
    hint: 'somebody or something changed it: run `candor audit verify`, keep the files as evidence, and restore a backup',
  })
}

function refusal(error: AppError): AppError {
  if (error.code === 'integrity') return error
  return new AppError('unavailable', 'the audit cannot be written, so nothing may be answered', {
    hint: error.message,
    cause: error,
  })
}
