/**
 * Proves, or disproves, that the audit is whole: every entry's bytes, hash and place, and that the log ends where the signed
 * head says. Needs only the database file, the head file and the public key, so an outsider can run it on copies. It reads
 * the whole table: run it in a process or worker of its own.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, describeError, systemCode, toAppError } from '../../shared/errors.ts'
import { createVerifier, type Verifier } from '../../shared/signing.ts'
import { openDatabase, type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import { type AuditRow, CHAIN_START, type ChainPoint, checkRow, parseEntry } from './entry.ts'
import { type Head, nextPath, openHead } from './head.ts'

export interface AuditFiles {
  database: string
  head: string
  /** PEM of the key that signs the head. */
  publicKeyPem: string
}

export type Verdict =
  | { ok: true; entries: number; headHash: string; agency: string; note: string | null }
  /** `firstBad` is the number of the first entry that is wrong or missing; null when no single entry is to blame. */
  | { ok: false; entries: number; firstBad: number | null; problem: string }

/** A head or table that is being written just now is read again this often, this far apart (milliseconds). */
const MOVING_TRIES = 20
const MOVING_PAUSE_MS = 25

/** Never throws for what it finds in the files; throws `configuration` for a public key that is none. */
export async function verifyAudit(files: AuditFiles): Promise<Verdict> {
  const verifier = createVerifier([files.publicKeyPem])
  let database: SqliteDatabase | null = null
  let reached = CHAIN_START
  try {
    database = openDatabase(files.database, { readonly: true })
    for (let attempt = 0; ; attempt++) {
      const walked = walk(database, reached)
      reached = walked.point
      if (walked.problem !== null) {
        return { ok: false, entries: reached.seq, firstBad: reached.seq + 1, problem: walked.problem }
      }
      const verdict = compareWithHead(database, files.head, verifier, reached)
      // A running cloud commits a group and then moves the head: look again before calling that a difference.
      if (verdict.ok || attempt === MOVING_TRIES || !verdict.maybeMoving) return strip(verdict)
      await sleep(MOVING_PAUSE_MS)
    }
  } catch (thrown) {
    const error =
      systemCode(thrown)?.startsWith('SQLITE') === true ? toStorageError(thrown, files.database) : toAppError(thrown)
    return { ok: false, entries: reached.seq, firstBad: null, problem: describeError(error) }
  } finally {
    database?.close()
  }
}

/** Follows the chain from `from` to the end of the table. */
function walk(database: SqliteDatabase, from: ChainPoint): { point: ChainPoint; problem: string | null } {
  const rows = database
    .prepare('SELECT seq, bytes, hash FROM audit_entries WHERE seq > ? ORDER BY seq')
    .iterate(from.seq)
  let point = from
  for (const row of rows) {
    const checked = checkRow(row as AuditRow, point)
    if (!checked.ok) return { point, problem: `entry ${point.seq + 1}: ${checked.problem}` }
    point = checked.point
  }
  // A number below 1 would hide from the walk.
  const { strays } = database.prepare('SELECT count(*) AS strays FROM audit_entries WHERE seq < 1').get() as {
    strays: number
  }
  if (strays > 0) return { point, problem: 'the table holds entries numbered below 1' }
  return { point, problem: null }
}

type Comparison = Verdict & { maybeMoving: boolean }

function compareWithHead(database: SqliteDatabase, path: string, verifier: Verifier, end: ChainPoint): Comparison {
  const wrong = (problem: string, firstBad: number | null, maybeMoving: boolean): Comparison => ({
    ok: false,
    entries: end.seq,
    firstBad,
    problem,
    maybeMoving,
  })
  const text = readText(path)
  if (text === null) return wrong(`${path}: there is no signed head`, null, false)
  let head: Head
  try {
    head = openHead(text, verifier, path)
  } catch (thrown) {
    return wrong(describeError(thrown), null, false)
  }
  const agency = agencyOf(database)
  if (agency !== null && agency !== head.agency) {
    return wrong(`the signed head is of agency ${head.agency}, the entries are of ${agency}`, null, false)
  }
  const right = (note: string | null): Comparison => ({
    ok: true,
    entries: end.seq,
    headHash: end.hash,
    agency: head.agency,
    note,
    maybeMoving: false,
  })
  if (head.seq === end.seq) {
    if (head.hash === end.hash) return right(null)
    return wrong('the chain is not the one that was signed: it was computed anew', null, false)
  }
  if (head.seq > end.seq) {
    return wrong(`the tail is cut off: ${head.seq} entries were signed, ${end.seq} are there`, end.seq + 1, true)
  }
  if (coveredByNext(path, verifier, end)) {
    return right('the last group was committed at a crash; its signed head is adopted when the cloud starts')
  }
  return wrong(`entries after ${head.seq} are not covered by the signed head`, head.seq + 1, true)
}

function coveredByNext(path: string, verifier: Verifier, end: ChainPoint): boolean {
  const text = readText(nextPath(path))
  if (text === null) return false
  try {
    const next = openHead(text, verifier, path)
    return next.seq === end.seq && next.hash === end.hash
  } catch {
    return false
  }
}

function agencyOf(database: SqliteDatabase): string | null {
  const row = database.prepare('SELECT bytes FROM audit_entries ORDER BY seq DESC LIMIT 1').get() as
    | AuditRow
    | undefined
  return row === undefined ? null : parseEntry(row.bytes).agency
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null
    throw new AppError('unavailable', `${path} cannot be read`, { cause: thrown })
  }
}

function strip(comparison: Comparison): Verdict {
  const { maybeMoving: _, ...verdict } = comparison
  return verdict
}
