/** What the audit of either side holds of a shared search: the same fields as of a search of one's own. Pure; used by answering.ts and asking.ts. */
import { timingSafeEqual } from 'node:crypto'
import { normalisePattern, normalisePlate } from '../../shared/plate.ts'
import type { AuditRecord } from '../audit/entry.ts'
import { withoutPlates } from '../audit/plates.ts'
import type { SharedSearchRequest } from './wire.ts'

export type Sought = { kind: 'exact' | 'pattern'; text: string }

/** What is looked for; null: neither a plate nor a pattern. */
export function soughtIn(plate: string): Sought | null {
  const isPattern = /[*?]/.test(plate)
  const text = isPattern ? normalisePattern(plate) : normalisePlate(plate)
  return text === null ? null : { kind: isPattern ? 'pattern' : 'exact', text }
}

export type Asked = Omit<SharedSearchRequest, 'requestId' | 'sentAtMs' | 'auditSeq' | 'person'>

export function factsOf(
  asked: Asked,
  digest: (plate: string) => string,
): Pick<AuditRecord, 'caseNumber' | 'offenceType' | 'reason' | 'query'> {
  const sought = soughtIn(asked.plate)
  const text = (typed: string) => withoutPlates(typed, [sought?.kind === 'exact' ? sought.text : null], digest) || null
  return {
    caseNumber: text(asked.caseNumber),
    offenceType: text(asked.offenceType),
    reason: text(asked.reason),
    query: {
      plateDigest: sought === null ? null : digest(sought.text),
      plateKind: sought?.kind ?? null,
      fromMs: asked.fromMs,
      toMs: asked.toMs,
      cameras: [...asked.cameras],
      limit: asked.limit,
      purpose: asked.purpose,
    },
  }
}

/** In a time that tells nothing of where they differ. */
export function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
