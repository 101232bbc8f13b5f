/** The place of the audit that a report is signed with: how long it was and its last entry, as its own signed head says. */
import { AppError } from '../../shared/errors.ts'
import { openHead } from '../audit/head.ts'
import { readFileIfThere } from '../secret-file.ts'

export interface Checkpoint {
  entries: number
  /** Hash of the last entry, hex. */
  head: string
  /** The signed document as it stands beside the audit. */
  document: string
}

/** Throws `integrity` when there is no head signed by this key. */
export async function currentCheckpoint(headPath: string, publicKeyPem: string): Promise<Checkpoint> {
  const text = await readFileIfThere(headPath)
  if (text === null) throw new AppError('integrity', 'the audit has no signed head')
  const { seq, hash } = openHead(text, publicKeyPem, headPath)
  return { entries: seq, head: hash, document: text.trim() }
}
