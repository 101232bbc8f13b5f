/**
 * A change of the policy: any part of it, merged into the one that is in force. Objects are merged, lists and values replaced.
 * Pure. Called by policy.ts, by the profiles and by the API, whose schema of a change is made here.
 */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { type Policy, policySchema } from '../../shared/wire/policy.ts'

/** What a change may say; the rest of the document is made by the cloud. */
export type PolicyRules = Omit<Policy, 'agency' | 'version' | 'issuedAtMs'>

type Part<T> = T extends readonly unknown[] ? T : T extends object ? { [Key in keyof T]?: Part<T[Key]> | undefined } : T
export type PolicyChange = Part<PolicyRules>

const MADE_BY_THE_CLOUD = ['agency', 'version', 'issuedAtMs']

/**
 * `schema` with every field optional, at each depth, and none with a default: what is not said stays as it is. Unknown fields are refused.
 */
function partOf(schema: z.ZodType): z.ZodType {
  const bare = withoutDefault(schema)
  const part = bare instanceof z.ZodObject ? z.strictObject(fieldsOf(bare)) : bare
  return part.optional()
}

function fieldsOf(schema: z.ZodObject): Record<string, z.ZodType> {
  const fields = Object.entries(schema.shape as Record<string, z.ZodType>)
  return Object.fromEntries(
    fields.filter(([name]) => !MADE_BY_THE_CLOUD.includes(name)).map(([name, field]) => [name, partOf(field)]),
  )
}

function withoutDefault(schema: z.ZodType): z.ZodType {
  const hasDefault = schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
  return hasDefault ? withoutDefault(schema.def.innerType as z.ZodType) : schema
}

type ChangeFields = { [Name in keyof PolicyRules]: z.ZodType<PolicyChange[Name]> }
/** For a request that says more than the change. */
export const POLICY_CHANGE_FIELDS = fieldsOf(policySchema) as unknown as ChangeFields

/** The next version's rules. Throws `bad_input`, naming the field. */
export function applyChange(
  policy: Policy,
  change: PolicyChange,
  next: { version: number; issuedAtMs: number },
): Policy {
  const { agency } = policy
  const parsed = policySchema.safeParse({ ...merged(policy, change), ...next, agency })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new AppError('bad_input', `${issue?.path.join('.') || 'policy'}: ${issue?.message ?? 'wrong'}`)
}

type Tree = Record<string, unknown>
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)

export function merged(before: object, change: object): Tree {
  const result: Tree = { ...before }
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) continue
    const own = Object.hasOwn(result, name) ? result[name] : undefined
    result[name] = isTree(own) && isTree(value) ? merged(own, value) : value
  }
  return result
}
