/**
 * The proof that one entry is in the log, as a file [c2sp.org/tlog-proof]: the entry's bytes stand in its extra line, so that whoever
 * has the file and the log's key needs nothing else. Pure; part of the stand-alone verifier.
 */
import { AppError } from '../../shared/errors.ts'
import { cosignatureOf, type NoteKey, openCheckpoint } from './note.ts'
import { HASH_BYTES, leafHash, MAX_PROOF_HASHES, rootFromInclusion } from './tree.ts'

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
/** Characters of a proof file. */
export const MAX_PROOF_CHARACTERS = 192 * 1024

export interface Proof {
  readonly seq: number
  readonly entry: Buffer
  /** From the leaf up. */
  readonly hashes: readonly Buffer[]
  /** A signed checkpoint of the tree that they lead to. */
  readonly checkpoint: string
}

export function proofText({ seq, entry, hashes, checkpoint }: Proof): string {
  const lines = [FIRST_LINE, `extra ${entry.toString('base64')}`, `index ${seq - 1}`]
  return [...lines, ...hashes.map((hash) => hash.toString('base64')), '', checkpoint].join('\n')
}

/** Throws `bad_input`. */
export function parseProof(text: string): Proof {
  const bad = (problem: string) => new AppError('bad_input', `not a proof: ${problem}`)
  if (text.length > MAX_PROOF_CHARACTERS) throw new AppError('too_large', 'not a proof: it is too long')
  const end = text.indexOf('\n\n')
  const [first, extra = '', index = '', ...lines] = text.slice(0, end).split('\n')
  if (end === -1 || first !== FIRST_LINE) throw bad(`its first line is not ${FIRST_LINE}`)
  if (!/^extra [A-Za-z0-9+/]+=*$/.test(extra)) throw bad('it does not hold the entry')
  if (!/^index (0|[1-9]\d{0,15})$/.test(index)) throw bad('it does not say which entry')
  if (lines.length > MAX_PROOF_HASHES) throw bad(`it has more than ${MAX_PROOF_HASHES} hashes`)
  const hashes = lines.map((line) => Buffer.from(line, 'base64'))
  if (hashes.some((hash, i) => hash.length !== HASH_BYTES || hash.toString('base64') !== lines[i]))
    throw bad('a hash is damaged')
  return {
    seq: Number(index.slice('index '.length)) + 1,
    entry: Buffer.from(extra.slice('extra '.length), 'base64'),
    hashes,
    checkpoint: text.slice(end + 2),
  }
}

export interface Proven {
  seq: number
  /** The entry, as JSON. */
  entry: string
  /** Entries of the log that it was proven to be in. */
  size: number
  witnesses: { name: string; atMs: number }[]
}

/** Throws `integrity` for what the log named by `key` did not sign, or what `witnesses` did not cosign; `bad_input`. */
export function checkProof(text: string, key: NoteKey, witnesses: readonly NoteKey[]): Proven {
  const { seq, entry, hashes, checkpoint } = parseProof(text)
  const { size, root, note } = openCheckpoint(checkpoint, key)
  if (rootFromInclusion(seq - 1, size, leafHash(entry), hashes)?.equals(root) !== true)
    throw new AppError('integrity', `entry ${seq} as it stands here is not in the log of ${size} entries`)
  const said = witnesses.map((witness) => {
    const cosignature = cosignatureOf(note, witness, null)
    if (cosignature === null)
      throw new AppError('integrity', `the witness ${witness.name} has not cosigned this checkpoint`)
    return { name: witness.name, atMs: cosignature.atMs }
  })
  const json = entry.toString('utf8')
  // What the log holds is canonical JSON that calls itself by its number.
  if (!json.includes(`"seq":${seq},`) && !json.includes(`"seq":${seq}}`))
    throw new AppError('integrity', `the entry at place ${seq} calls itself by another number`)
  return { seq, entry: json, size, witnesses: said }
}
