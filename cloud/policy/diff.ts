/** What differs between two policies, rule by rule, and which of it is looser than before. Pure. */
import { isDeepStrictEqual } from 'node:util'
import type { Policy } from '../../shared/wire/policy.ts'
import { auditedValue } from '../audit/value.ts'
import { POLICY_RULES } from './rules.ts'

export interface PolicyDifference {
  field: string
  before: unknown
  after: unknown
  beforeText: string
  afterText: string
  /** More is kept, for longer, or shared wider, or less is checked and told. */
  loosens: boolean
}

export function diffPolicies(before: Policy, after: Policy): PolicyDifference[] {
  return POLICY_RULES.filter((rule) => !isDeepStrictEqual(rule.value(before), rule.value(after))).map((rule) => ({
    field: rule.field,
    before: rule.value(before),
    after: rule.value(after),
    beforeText: rule.say(before),
    afterText: rule.say(after),
    loosens: rule.loosens(before, after),
  }))
}

/** For the audit: a line a field, as short as its entry needs it; the signed versions have all of it. */
export function auditedDiff(differences: readonly PolicyDifference[]): Record<string, string | string[]> {
  const lines = differences.map(({ field, before, after }) => [
    field,
    `${auditedValue(before)} → ${auditedValue(after)}`,
  ])
  const loosened = differences.filter(({ loosens }) => loosens).map(({ field }) => field)
  return { ...Object.fromEntries(lines), loosens: loosened }
}
