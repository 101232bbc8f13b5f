/**
 * Who watches the log from outside, and what they have said: known witnesses, and the checkpoints that they cosigned
 * [c2sp.org/tlog-cosignature]. Called by the API. Owns tables audit_witnesses, audit_checkpoints and audit_cosignatures.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Database, Statement } from '../database/database.ts'
import type { Audit } from './log.ts'
import { proveConsistency, proveInclusion, readTile, rootAt } from './nodes.ts'
import {
  cosignatureOf,
  isWitnessKey,
  logKey,
  type NoteKey,
  noteOf,
  openCheckpoint,
  originOf,
  parseVerifierKey,
  verifierKey,
} from './note.ts'
import { proofText } from './proof.ts'
import { parseTilePath, TILE_WIDTH } from './tiles.ts'

export const MAX_WITNESSES = 16

export interface Witness {
  witness: string
  key: string
  addedAtMs: number
  addedBy: string
  /** Entries of the largest tree that it cosigned, and when; null: nothing yet. */
  cosigned: { size: number; atMs: number } | null
}

export interface Cosigned {
  size: number
  witnesses: { witness: string; atMs: number; isNew: boolean }[]
}

/** What outsiders may see of the log, and what they say of it. */
export interface PublicLog {
  /** The log's verifier key. */
  readonly key: string
  /** The newest checkpoint, with the cosignatures of its own size. */
  checkpoint(): Promise<string>
  /** The newest that a witness has cosigned, or null. */
  cosigned(): Promise<string | null>
  /** A tile of hashes by its path below `tile/`; null: there is none, or it is of entries. */
  tile(path: string): Promise<Buffer | null>
  /** Hashes, base64. Throws `not_found` when the log is not as long. */
  consistency(before: number, size: number): Promise<string[]>
  /** A proof file of an entry [c2sp.org/tlog-proof]. Throws `not_found`. */
  proof(seq: number): Promise<string>
}

export interface Witnesses extends PublicLog {
  list(): Promise<Witness[]>
  /** `key`: verifier key of a cosigner. Throws `conflict` for a name or key that is known, `too_large` beyond MAX_WITNESSES, `bad_input`. */
  add(witness: string, key: string, by: string): Promise<void>
  /** What it has cosigned stays. Throws `not_found`. */
  remove(witness: string): Promise<void>
  /** Takes a checkpoint of this log with cosignatures. Throws `integrity` for one that is not of this log, `bad_input` for one that no known witness signed. */
  submit(note: string): Promise<Cosigned>
}

export function createWitnesses(deps: { database: Database; audit: Audit; agency: string; clock: Clock }): Witnesses {
  const { database, audit, clock } = deps
  const { build } = database
  const key: NoteKey = logKey(originOf(deps.agency), audit.publicKeyPem)

  const rows = () =>
    database.read(build.selectFrom('audit_witnesses').selectAll().orderBy('witness').limit(MAX_WITNESSES))

  async function withCosignatures(note: string, size: number): Promise<string> {
    const lines = await database.read(
      build.selectFrom('audit_cosignatures').select('line').where('size', '=', size).orderBy('verifier_key'),
    )
    return note + lines.map(({ line }) => `${line}\n`).join('')
  }

  async function newest() {
    const note = await audit.checkpoint()
    return { note, size: openCheckpoint(note, key).size }
  }

  return {
    key: verifierKey(key),
    async checkpoint() {
      const { note, size } = await newest()
      return withCosignatures(note, size)
    },
    async cosigned() {
      const [row] = await database.read(
        build.selectFrom('audit_checkpoints').selectAll().orderBy('size', 'desc').limit(1),
      )
      return row === undefined ? null : withCosignatures(row.note, row.size)
    },
    async tile(path) {
      const tile = parseTilePath(path)
      if (tile === null || tile.entries) return null
      const { size } = await newest()
      // Floating point: 256^7 is the largest power of it that is exact.
      if (tile.level > 6 || Math.floor(size / TILE_WIDTH ** tile.level) < tile.index * TILE_WIDTH + tile.width)
        return null
      return Buffer.concat(await readTile(database, tile))
    },
    async consistency(before, size) {
      const { size: now } = await newest()
      if (before > size || size > now)
        throw new AppError('not_found', `the log has ${now} entries`, {
          hint: 'ask for an older size, then a newer one',
        })
      return (await proveConsistency(database, before, size)).map((hash) => hash.toString('base64'))
    },
    async proof(seq) {
      const { note, size } = await newest()
      const [row] = await database.read(build.selectFrom('audit_entries').select('bytes').where('seq', '=', seq))
      if (row === undefined || seq > size) throw new AppError('not_found', `there is no audit entry ${seq}`)
      if (row.bytes.length === 0) throw new AppError('not_found', `entry ${seq} went by the policy's retention`)
      const hashes = await proveInclusion(database, seq, size)
      return proofText({ seq, entry: row.bytes, hashes, checkpoint: await withCosignatures(note, size) })
    },
    async list() {
      const known = await rows()
      return Promise.all(
        known.map(async (row): Promise<Witness> => {
          const [last] = await database.read(
            build
              .selectFrom('audit_cosignatures')
              .select(['size', 'cosigned_at_ms'])
              .where('verifier_key', '=', row.verifier_key)
              .orderBy('size', 'desc')
              .limit(1),
          )
          return {
            witness: row.witness,
            key: row.verifier_key,
            addedAtMs: row.added_at_ms,
            addedBy: row.added_by,
            cosigned: last === undefined ? null : { size: last.size, atMs: last.cosigned_at_ms },
          }
        }),
      )
    },
    async add(witness, text, by) {
      const witnessKey = parseVerifierKey(text)
      if (!isWitnessKey(witnessKey)) {
        throw new AppError('bad_input', 'that is the key of a log, not of a witness', {
          hint: 'a witness makes its own with `candor audit witness key`',
        })
      }
      const known = await rows()
      if (known.some((row) => row.witness === witness || row.verifier_key === verifierKey(witnessKey)))
        throw new AppError('conflict', 'a witness of this name or key is known already')
      if (known.length >= MAX_WITNESSES) throw new AppError('too_large', `there are ${MAX_WITNESSES} witnesses already`)
      await database.writeBatch([
        build.insertInto('audit_witnesses').values({
          witness,
          verifier_key: verifierKey(witnessKey),
          added_at_ms: clock.nowMs(),
          added_by: by,
        }),
      ])
    },
    async remove(witness) {
      const [done] = await database.writeBatch([build.deleteFrom('audit_witnesses').where('witness', '=', witness)])
      if (done?.changes !== 1) throw new AppError('not_found', `no witness is called ${witness}`)
    },
    async submit(text) {
      const { size, root, note } = openCheckpoint(text, key)
      const now = await newest()
      if (size > now.size || !root.equals(await rootAt(database, size))) {
        throw new AppError('integrity', 'the audit key has signed a checkpoint that is not of this log', {
          hint: 'this log was rewritten or restored from an old copy: keep that file as evidence and run `candor audit verify`',
        })
      }
      const statements: Statement[] = []
      const said: Cosigned['witnesses'] = []
      for (const { witness, verifier_key } of await rows()) {
        const cosignature = cosignatureOf(note, parseVerifierKey(verifier_key), clock.nowMs())
        if (cosignature === null) continue
        const [there] = await database.read(
          build
            .selectFrom('audit_cosignatures')
            .select('size')
            .where('size', '=', size)
            .where('verifier_key', '=', verifier_key),
        )
        said.push({ witness, atMs: cosignature.atMs, isNew: there === undefined })
        const row = {
          ...{ size, verifier_key, line: cosignature.line },
          ...{ cosigned_at_ms: cosignature.atMs, received_at_ms: clock.nowMs() },
        }
        statements.push(
          build
            .insertInto('audit_cosignatures')
            .values(row)
            .onConflict((conflict) => conflict.doNothing()),
        )
      }
      if (said.length === 0) {
        throw new AppError('bad_input', 'no known witness has cosigned this checkpoint', {
          hint: 'make its key known first: `candor audit witness add NAME KEY`',
        })
      }
      const own = note.signatures.filter(({ name }) => name === key.name).map(({ line }) => line)
      const checkpoint = build
        .insertInto('audit_checkpoints')
        .values({ size, note: noteOf(note.text, own.slice(0, 1)) })
        .onConflict((conflict) => conflict.doNothing())
      await database.writeBatch([checkpoint, ...statements])
      return { size, witnesses: said }
    },
  }
}
