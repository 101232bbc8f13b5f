/**
 * Proves, or disproves, that the audit in a database is whole: every entry's bytes, hash and place, the tree over them, and that
 * the log ends where the signed head and checkpoint say. Needs only the database file, the head file and the public key, so an
 * outsider can run it on copies. It reads the whole table: run it in a process or worker of its own.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, describeError, systemCode, toAppError } from '../../shared/errors.ts'
import { createVerifier } from '../../shared/signing.ts'
import { openDatabase, type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import {
  type Broken,
  brokenBy,
  createWalk,
  type Earlier,
  isProblem,
  type Problem,
  type Verdict,
  type Walk,
} from './check.ts'
import type { AuditRow } from './entry.ts'
import { type Head, nextPath, openHead } from './head.ts'
import type { Node } from './tiles.ts'

export interface AuditFiles {
  database: string
  head: string
  /** PEM of the key that signs head and checkpoint. */
  publicKeyPem: string
  /** What outsiders kept of the log before. */
  earlier?: readonly Earlier[]
}

/** A head or table that is being written just now is read again this often, this far apart (milliseconds). */
const MOVING_TRIES = 20
const MOVING_PAUSE_MS = 25

/** Never throws for what it finds in the files; throws `configuration` for a public key that is none. */
export async function verifyAudit(files: AuditFiles): Promise<Verdict> {
  createVerifier([files.publicKeyPem])
  let database: SqliteDatabase | null = null
  const walk = createWalk(files.earlier)
  const broken = ({ problem, firstBad }: Problem): Broken => ({ ok: false, entries: walk.point.seq, firstBad, problem })
  try {
    database = openDatabase(files.database, { readonly: true })
    const nodes = hasCheckpoint(files) ? storedNodes(database) : null
    for (let attempt = 0; ; attempt++) {
      const problem = follow(database, walk, nodes)
      if (problem !== null) return broken(problem)
      const compared = compareWithHead(files, walk)
      // A running cloud commits a group and then moves the head: look again before calling that a difference.
      if (isProblem(compared)) {
        if (attempt === MOVING_TRIES || !compared.maybeMoving) return broken(compared)
        await sleep(MOVING_PAUSE_MS)
        continue
      }
      const ended = walk.end()
      if (isProblem(ended)) return broken(ended)
      return {
        ok: true,
        entries: walk.point.seq,
        headHash: walk.point.hash,
        root: walk.root().toString('base64'),
        ...compared,
        ...ended,
        witnesses: [],
      }
    }
  } catch (thrown) {
    const error =
      systemCode(thrown)?.startsWith('SQLITE') === true ? toStorageError(thrown, files.database) : toAppError(thrown)
    return brokenBy(error, walk.point.seq)
  } finally {
    database?.close()
  }
}

interface StoredNodes {
  differs(node: Node): string | null
  /** Nodes of a tree larger than `size`. */
  strays(size: number): Problem | null
}

/** The tree as the database holds it; null: the copy is from before there was one. */
function storedNodes(database: SqliteDatabase): StoredNodes | null {
  const table = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit_nodes'").get()
  if (table === undefined) return null
  const one = database.prepare('SELECT hash FROM audit_nodes WHERE level = ? AND position = ?')
  const all = database.prepare('SELECT level, position FROM audit_nodes ORDER BY level, position DESC')
  return {
    differs({ level, position, hash }) {
      const stored = one.get(level, position) as { hash: Buffer } | undefined
      if (stored === undefined) return `hash ${position} of level ${level} of the tree is missing`
      return hash.equals(stored.hash) ? null : `hash ${position} of level ${level} of the tree was changed`
    },
    strays(size) {
      for (const row of all.iterate()) {
        const { level, position } = row as { level: number; position: number }
        if (level >= 1 && position >= 0 && (position + 1) * 256 ** level <= size) continue
        return {
          problem: `the tree has a hash ${position} of level ${level}, of entries that are not there`,
          firstBad: null,
        }
      }
      return null
    },
  }
}

/** Before it has one, a cloud is still making the tree. */
function hasCheckpoint({ head, publicKeyPem }: AuditFiles): boolean {
  const text = readText(head)
  try {
    return text !== null && openHead(text, publicKeyPem, head).checkpoint !== null
  } catch {
    // Said when the end is compared with it.
    return false
  }
}

/** Follows the chain from where the walk is to the end of the table, all as of one moment. */
function follow(database: SqliteDatabase, walk: Walk, nodes: StoredNodes | null): Problem | null {
  return database.transaction(() => followNow(database, walk, nodes))()
}

function followNow(database: SqliteDatabase, walk: Walk, nodes: StoredNodes | null): Problem | null {
  const rows = database
    .prepare('SELECT seq, bytes, hash FROM audit_entries WHERE seq > ? ORDER BY seq')
    .iterate(walk.point.seq)
  for (const row of rows) {
    const problem = walk.take(row as AuditRow, nodes?.differs)
    if (problem !== null) return problem
  }
  // A number below 1 would hide from the walk.
  const { strays } = database.prepare('SELECT count(*) AS strays FROM audit_entries WHERE seq < 1').get() as {
    strays: number
  }
  if (strays === 0) return nodes?.strays(walk.point.seq) ?? null
  return { problem: 'the table holds entries numbered below 1', firstBad: walk.point.seq + 1 }
}

type Comparison = { agency: string; note: string | null } | (Problem & { maybeMoving: boolean })

function compareWithHead({ head: path, publicKeyPem }: AuditFiles, walk: Walk): Comparison {
  const end = walk.point
  const wrong = (problem: string, firstBad: number | null, maybeMoving = false) => ({ problem, firstBad, maybeMoving })
  const text = readText(path)
  if (text === null) return wrong(`${path}: there is no signed head`, null)
  let head: Head
  try {
    head = openHead(text, publicKeyPem, path)
  } catch (thrown) {
    return wrong(describeError(thrown), null)
  }
  const { agency } = head
  if (walk.agency !== null && walk.agency !== agency) {
    return wrong(`the signed head is of agency ${agency}, the entries are of ${walk.agency}`, null)
  }
  if (head.seq === end.seq) {
    if (head.hash !== end.hash) return wrong('the chain is not the one that was signed: it was computed anew', null)
    return covers(head, walk)
      ? { agency, note: head.checkpoint === null ? 'the head is from before there was a tree' : null }
      : wrong('the tree is not the one that was signed', null)
  }
  if (head.seq > end.seq) {
    return wrong(`the tail is cut off: ${head.seq} entries were signed, ${end.seq} are there`, end.seq + 1, true)
  }
  if (coveredByNext(path, publicKeyPem, walk)) {
    return { agency, note: 'the last group was committed at a crash; its signed head is adopted when the cloud starts' }
  }
  return wrong(`entries after ${head.seq} are not covered by the signed head`, head.seq + 1, true)
}

/** The head is of this very end of chain and tree. */
function covers(head: Head, walk: Walk): boolean {
  const tree = head.checkpoint?.root.equals(walk.root()) ?? true
  return head.seq === walk.point.seq && head.hash === walk.point.hash && tree
}

function coveredByNext(path: string, publicKeyPem: string, walk: Walk): boolean {
  const text = readText(nextPath(path))
  if (text === null) return false
  try {
    return covers(openHead(text, publicKeyPem, path), walk)
  } catch {
    return false
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null
    throw new AppError('unavailable', `${path} cannot be read`, { cause: thrown })
  }
}
