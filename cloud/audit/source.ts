/**
 * One moment of a log, read from the database file and the head file beside a running cloud or from copies of both: what exports,
 * publications and proofs are made of on the host. Reads only.
 */
import { AppError } from '../../shared/errors.ts'
import { openDatabase, toStorageError } from '../../shared/sqlite.ts'
import { readHead } from './head.ts'
import { logKey, type NoteKey, originOf } from './note.ts'
import { TILE_HEIGHT, TILE_WIDTH, type Tile } from './tiles.ts'
import { rootOf, type SubtreeHash } from './tree.ts'

export interface LogFiles {
  database: string
  head: string
  publicKeyPem: string
}

export interface LogSource {
  readonly agency: string
  readonly key: NoteKey
  /** With the cosignatures of its own size. */
  readonly checkpoint: string
  readonly size: number
  /** The newest that a witness has cosigned, of this size at most; null: none has. */
  readonly cosigned: string | null
  /** Bytes and hash of entries [first, first + count), `first` counted from 0; empty bytes: they went by policy. */
  entries(first: number, count: number): { bytes: Buffer; hash: Buffer }[]
  tile(tile: Tile): Buffer[]
  readonly subtree: SubtreeHash
  close(): void
}

/** Throws `integrity` for a head that is none, and for a log without a tree or with holes. */
export async function openSource(files: LogFiles): Promise<LogSource> {
  // The head first: every entry that it covers was committed before.
  const head = await readHead(files.head, files.publicKeyPem)
  if (head === null) throw new AppError('not_found', `${files.head}: there is no signed head`)
  const { checkpoint, agency, seq: size } = head
  if (checkpoint === null) {
    throw new AppError('integrity', 'the audit has no tree yet', { hint: 'start the cloud once: it makes one' })
  }
  const connection = openDatabase(files.database, { readonly: true })
  try {
    connection.exec('BEGIN')
    const entries = connection.prepare('SELECT bytes, hash FROM audit_entries WHERE seq > ? AND seq <= ? ORDER BY seq')
    const nodes = connection.prepare(
      'SELECT hash FROM audit_nodes WHERE level = ? AND position >= ? AND position < ? ORDER BY position',
    )
    const cosignatures = connection.prepare('SELECT line FROM audit_cosignatures WHERE size = ? ORDER BY verifier_key')
    const whole = <T>(rows: T[], count: number): T[] => {
      if (rows.length === count) return rows
      throw new AppError('integrity', 'entries or hashes of the audit are missing', {
        hint: 'run `candor audit verify`',
      })
    }
    const hashes = (level: number, first: number, count: number): Buffer[] => {
      const rows = level === 0 ? entries.all(first, first + count) : nodes.all(level, first, first + count)
      return whole(rows as { hash: Buffer }[], count).map(({ hash }) => hash)
    }
    const linesOf = (at: number) => (cosignatures.all(at) as { line: string }[]).map(({ line }) => line)
    const newest = connection
      .prepare('SELECT size, note FROM audit_checkpoints WHERE size <= ? ORDER BY size DESC LIMIT 1')
      .get(size) as { size: number; note: string } | undefined
    const withLines = (note: string, lines: readonly string[]) => note + lines.map((line) => `${line}\n`).join('')
    return {
      agency,
      size,
      key: logKey(originOf(agency), files.publicKeyPem),
      checkpoint: withLines(checkpoint.note, linesOf(size)),
      cosigned: newest === undefined ? null : withLines(newest.note, linesOf(newest.size)),
      entries: (first, count) => whole(entries.all(first, first + count) as { bytes: Buffer; hash: Buffer }[], count),
      tile: ({ level, index, width }) => hashes(level, index * TILE_WIDTH, width),
      async subtree({ height, index }) {
        const level = Math.floor(height / TILE_HEIGHT)
        const count = 2 ** (height - level * TILE_HEIGHT)
        return rootOf(hashes(level, index * count, count))
      },
      close: () => connection.close(),
    }
  } catch (thrown) {
    connection.close()
    throw toStorageError(thrown, files.database)
  }
}
