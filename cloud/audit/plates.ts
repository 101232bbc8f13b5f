/**
 * Free text on its way into the audit: a plate that the action is about is replaced by its keyed digest, because the audit is kept
 * for ever and holds plates as digests alone. Only known plates can be: any other word may be a case number. Pure; called by search
 * and the steps of alerts.
 */

import { PLATE_MAX_LENGTH } from '../../shared/plate.ts'
import { MAX_AUDIT_TEXT } from './entry.ts'

/** Between two characters of a plate as people write it: `ABC-12 3`. */
const SEPARATORS = String.raw`[\s.\-·•_/]*`

/** `text` with every occurrence of `plates` (normalised, or patterns of lists) as `[plate DIGEST]`, whatever their case and separators. */
export function withoutPlates(
  text: string,
  plates: readonly (string | null)[],
  digest: (plate: string) => string,
): string {
  let result = text
  // The longest first: a plate may begin with another.
  for (const plate of [...new Set(plates)].sort((a, b) => (b?.length ?? 0) - (a?.length ?? 0))) {
    if (plate === null || plate === '') continue
    const written = new RegExp(`(?<![a-z0-9])${[...plate].map(writtenAs).join(SEPARATORS)}(?![a-z0-9])`, 'giu')
    result = result.replace(written, `[plate ${digest(plate).slice(0, SHOWN_DIGITS)}]`)
  }
  // A text that is nothing but plates grows; an entry that cannot be written would refuse the search.
  return result.slice(0, MAX_AUDIT_TEXT)
}

/** A pattern of a list stands for any plate that it means. */
function writtenAs(character: string): string {
  return character === '*' ? `[a-z0-9]{0,${PLATE_MAX_LENGTH}}` : character === '?' ? '[a-z0-9]' : character
}

/** Hexadecimal digits of the digest: enough to find the query that it belongs to. */
const SHOWN_DIGITS = 16
