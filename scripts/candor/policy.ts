/** `candor policy`: the agency's signed policy in words, its versions, and the profiles that it can be made from. */
import type { Command } from 'commander'
import { wholeNumber } from './options.ts'
import { PATH, registerChanges } from './policy-change.ts'

interface ShowOptions {
  version?: number
  json?: boolean
  text?: boolean
}

export function register(program: Command): void {
  const policy = program.command('policy').description('the agency’s signed policy')

  policy
    .command('show')
    .description('the policy in force, or a version before it, in words')
    .option('--version <n>', 'this version', wholeNumber(1))
    .option('--json', 'the document')
    .option('--text', 'in words; the default')
    .action(async ({ version, json }: ShowOptions) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, time } = await import('./terminal.ts')
      const { renderingSchema, renderingText } = await import('./policy-text.ts')
      const schema = z.object({ policy: z.looseObject({ issuedAtMs: z.int() }), rendering: renderingSchema })
      const path = version === undefined ? PATH : `${PATH}/versions/${version}`
      const shown = await withClient((client) => client.call(schema, 'GET', path))
      if (json === true) return printJson(shown.policy)
      process.stdout.write(renderingText(shown.rendering))
      process.stdout.write(`Issued ${time(shown.policy.issuedAtMs)}.\n`)
    })

  policy
    .command('history')
    .description('versions, newest first: by whom, approved by whom, and what each changed')
    .option('--json', 'one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const { differencesSchema } = await import('./policy-text.ts')
      const schema = z.object({
        versions: z.array(
          z.object({
            version: z.int(),
            issuedAtMs: z.int(),
            issuedBy: z.string().nullable(),
            approvedBy: z.string().nullable(),
            differences: differencesSchema,
          }),
        ),
      })
      const { versions } = await withClient((client) => client.call(schema, 'GET', `${PATH}/history`))
      if (json === true) return printJson(versions)
      const rows = versions.map(({ version, issuedAtMs, issuedBy, approvedBy, differences }) => [
        String(version),
        time(issuedAtMs),
        issuedBy ?? 'first start',
        approvedBy ?? '',
        differences.map(({ field, loosens }) => `${field}${loosens ? ' (looser)' : ''}`).join(', '),
      ])
      process.stdout.write(table(['version', 'issued', 'by', 'approved by', 'changed'], rows))
    })

  policy
    .command('diff')
    .description('what differs between two versions, rule by rule')
    .argument('<from>', 'version', wholeNumber(1))
    .argument('<to>', 'version', wholeNumber(1))
    .option('--json', 'one JSON document')
    .action(async (from: number, to: number, { json }: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { differencesSchema, differencesText } = await import('./policy-text.ts')
      const schema = z.object({ differences: differencesSchema })
      const path = `${PATH}/diff?from=${from}&to=${to}`
      const { differences } = await withClient((client) => client.call(schema, 'GET', path))
      if (json === true) return printJson(differences)
      process.stdout.write(differencesText(differences))
    })

  registerChanges(policy)

  policy
    .command('profiles')
    .description('profiles of statutes and published policies that a policy can be made from')
    .option('--json', 'one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const { NO_LEGAL_ADVICE, profiles } = await import('../../cloud/policy/profile.ts')
      const { printJson, table } = await import('./terminal.ts')
      const listed = profiles().map(({ id, title, citation, read }) => ({ id, title, citation, read }))
      if (json === true) return printJson({ profiles: listed, notice: NO_LEGAL_ADVICE })
      const rows = listed.map(({ id, title, citation }) => [id, title, citation])
      process.stdout.write(`${table(['profile', 'title', 'source'], rows)}\n${NO_LEGAL_ADVICE}\n`)
    })

  policy
    .command('profile')
    .description('a profile')
    .command('show')
    .description('its rules in words, each with its section, and what the agency must see to itself')
    .argument('<id>', 'one of `candor policy profiles`')
    .option('--json', 'its rules as a document')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const { getProfile, rulesOf } = await import('../../cloud/policy/profile.ts')
      const { renderProfile } = await import('../../cloud/policy/render.ts')
      const { printJson } = await import('./terminal.ts')
      const { renderingText } = await import('./policy-text.ts')
      const profile = getProfile(id)
      if (json === true) return printJson(rulesOf(profile))
      process.stdout.write(renderingText(renderProfile(profile)))
    })
}
