/** How `candor policy` shows rules, differences and proposals, and the shapes in which the cloud sends them. */
import { z } from 'zod'
import { printable, time } from './terminal.ts'

export const renderingSchema = z.object({
  title: z.string(),
  basis: z.object({ title: z.string(), citation: z.string(), read: z.string() }).nullable(),
  sections: z.array(
    z.object({
      title: z.string(),
      rules: z.array(
        z.object({
          field: z.string(),
          text: z.string(),
          section: z.string().optional(),
          profileText: z.string().optional(),
        }),
      ),
    }),
  ),
  duties: z.array(z.object({ text: z.string(), section: z.string() })),
  notice: z.string(),
})

export const differencesSchema = z.array(
  z.object({
    field: z.string(),
    before: z.unknown(),
    after: z.unknown(),
    beforeText: z.string(),
    afterText: z.string(),
    loosens: z.boolean(),
  }),
)
export type Differences = z.infer<typeof differencesSchema>

export const proposalSchema = z.object({
  number: z.int(),
  basisVersion: z.int(),
  state: z.string(),
  reason: z.string().nullable(),
  proposedAtMs: z.int(),
  proposedBy: z.string(),
  expiresAtMs: z.int(),
  decidedAtMs: z.int().nullable(),
  decidedBy: z.string().nullable(),
  differences: differencesSchema,
})

export function renderingText({ title, basis, sections, duties, notice }: z.infer<typeof renderingSchema>): string {
  const lines = [title]
  if (basis !== null) lines.push(`From the profile: ${basis.title}, ${basis.citation} (read: ${basis.read})`)
  for (const section of sections) {
    lines.push('', section.title)
    for (const { text, section: cited, profileText } of section.rules) {
      lines.push(`  - ${text}${cited === undefined ? '' : ` [${cited}]`}`)
      if (profileText !== undefined) lines.push(`      the profile says: ${profileText}`)
    }
  }
  if (duties.length > 0) lines.push('', 'What the agency must see to itself')
  for (const { text, section } of duties) lines.push(`  - ${text} [${section}]`)
  lines.push('', notice)
  return `${lines.map(printable).join('\n')}\n`
}

export function differencesText(differences: Differences): string {
  if (differences.length === 0) return 'Nothing differs.\n'
  const lines = differences.flatMap(({ field, beforeText, afterText, loosens }) => [
    `${field}${loosens ? '  LOOSENS' : ''}`,
    `  before: ${beforeText}`,
    `  after:  ${afterText}`,
  ])
  const loosened = differences.filter(({ loosens }) => loosens).length
  if (loosened > 0) lines.push('', `${loosened} of ${differences.length} loosen the policy.`)
  return `${lines.map(printable).join('\n')}\n`
}

export function proposalText(proposal: z.infer<typeof proposalSchema>): string {
  const { number, basisVersion, state, reason, proposedBy, proposedAtMs, expiresAtMs, decidedBy } = proposal
  const end = state === 'waiting' ? `until ${time(expiresAtMs)}` : decidedBy === null ? '' : `by ${decidedBy}`
  const head = `Proposal ${number}, ${state} ${end}`.trimEnd()
  const why = reason === null ? '' : `: ${printable(reason)}`
  return `${head}\n  changes version ${basisVersion}; by ${proposedBy}, ${time(proposedAtMs)}${why}\n${differencesText(proposal.differences)}`
}
