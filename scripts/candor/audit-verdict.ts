/** What `candor audit verify` and the stand-alone verifier say: their words and what they read keys and checkpoints from. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Verdict } from '../../cloud/audit/check.ts'
import {
  encodeWitnessSecret,
  logKey,
  type NoteKey,
  parseVerifierKey,
  parseWitnessSecret,
  verifierKey,
} from '../../cloud/audit/note.ts'
import type { Proven } from '../../cloud/audit/proof.ts'
import { AppError, systemCode } from '../../shared/errors.ts'

export function verdictText(verdict: Verdict): string {
  if (!verdict.ok) {
    const where = verdict.firstBad === null ? '' : ` First bad entry: ${verdict.firstBad}.`
    if (verdict.isUnseen === true) return `THE AUDIT WAS NOT CHECKED: ${verdict.problem}.\n`
    return `THE AUDIT DOES NOT VERIFY: ${verdict.problem}.${where}\n`
  }
  const { agency, entries, headHash, root, purged, continues, witnesses, note } = verdict
  return [
    `The audit of ${agency} is whole: ${entries} entries, head ${headHash}.`,
    `Root of its tree: ${root}.`,
    ...purged.map(
      ({ from, through }) => `Entries ${from} to ${through} went by the policy's retention; their hashes are there.`,
    ),
    ...(continues.length === 0 ? [] : [`It continues the earlier checkpoints of ${continues.join(', ')} entries.`]),
    ...witnesses.map((name) => `Cosigned by ${name}.`),
    ...(note === null ? [] : [`Note: ${note}.`]),
    '',
  ].join('\n')
}

export function provenText({ seq, size, entry, witnesses }: Proven): string {
  const said = witnesses.map(({ name, atMs }) => `Cosigned by ${name} at ${new Date(atMs).toISOString()}.\n`).join('')
  return `Entry ${seq} is in the log of ${size} entries:\n${entry}\n${said}`
}

/** A verifier key as it is written, or a file with one. Throws `bad_input`, `not_found`. */
export function readVerifierKey(given: string): NoteKey {
  return parseVerifierKey(given.includes('+') ? given : readGiven(given))
}

/** The log's key: a verifier key, a file with one, or the PEM file of the agency whose log is named `origin`. */
export function readLogKey(given: string, origin: string): NoteKey {
  if (given.includes('+')) return parseVerifierKey(given)
  const text = readGiven(given)
  return text.includes('-----BEGIN') ? logKey(origin, text) : parseVerifierKey(text)
}

/** Makes the key of a witness in `path`, for its owner alone, and returns its public half. Throws `conflict`, `configuration`. */
export function makeWitness(name: string, path: string): string {
  const secret = encodeWitnessSecret(name, randomBytes(SEED_BYTES))
  const { key } = parseWitnessSecret(secret)
  try {
    writeFileSync(path, secret, { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    throw new AppError('conflict', `${path} is there already, or cannot be made`, { cause })
  }
  return verifierKey(key)
}
/** Of an Ed25519 key [RFC 8032, 5.1.5]. */
const SEED_BYTES = 32

export function readGiven(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const problem = systemCode(cause) === 'ENOENT' ? ': no such file' : ' cannot be read'
    throw new AppError('not_found', `${path}${problem}`, { cause })
  }
}
