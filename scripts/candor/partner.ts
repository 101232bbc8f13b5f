/** `candor partner`: the agencies whose clouds ours is paired with: identity, add, list, revoke, what they grant us, and comparing both records. */
import type { Command } from 'commander'
import { AppError } from '../../shared/errors.ts'
import { timeAt } from './options.ts'

const PATH = '/api/v1/partners'
const of = (partner: string) => `${PATH}/${encodeURIComponent(partner)}`

export function register(program: Command): void {
  const partner = program.command('partner').description('agencies that reads are shared with')

  partner
    .command('identity')
    .description('print what the other agency imports, and on standard error the fingerprint to read out to it')
    .action(async () => {
      const { z } = await import('zod')
      const { identitySchema, spokenFingerprint } = await import('../../cloud/sharing/identity.ts')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const schema = z.object({ identity: identitySchema, agency: z.string(), fingerprint: z.string() })
      const { identity, agency, fingerprint } = await withClient((client) =>
        client.call(schema, 'GET', `${PATH}/identity`),
      )
      printJson(identity)
      process.stderr.write(
        `${agency}: read this out when the other agency has the file:\n  ${spokenFingerprint(fingerprint)}\n`,
      )
    })

  partner
    .command('add')
    .description('pair with the agency whose identity is in the file; it may search nothing until there is a grant')
    .argument('<file>', 'as made by `candor partner identity` there')
    .requiredOption('--name <text>', 'full name of the agency, as it is published')
    .requiredOption('--jurisdiction <code>', 'such as US-VA; yours to say')
    .option('--fingerprint <text>', 'as the other agency read it out; without it, it is shown and nothing is added')
    .option('--json', 'one JSON document')
    .action(
      async (file: string, options: { name: string; jurisdiction: string; fingerprint?: string; json?: boolean }) => {
        const { readIdentity, spokenFingerprint } = await import('../../cloud/sharing/identity.ts')
        const { partnerSchema } = await import('../../cloud/api/sharing.ts')
        const { readText, withClient } = await import('./client.ts')
        const { printJson, printable } = await import('./terminal.ts')
        let identity: unknown
        try {
          identity = JSON.parse(readText(file))
        } catch (cause) {
          if (cause instanceof AppError) throw cause
          throw new AppError('bad_input', `${file} is not JSON`, { cause })
        }
        const read = readIdentity(identity)
        if (options.fingerprint === undefined) {
          const spoken = spokenFingerprint(read.fingerprint)
          throw new AppError('bad_input', `${printable(read.agency)} at ${read.url ?? 'no address'}:\n  ${spoken}`, {
            hint: 'call that agency on a number you know, let it read its fingerprint out, then repeat with --fingerprint',
          })
        }
        const json = {
          ...{ identity, name: options.name, jurisdiction: options.jurisdiction },
          fingerprint: options.fingerprint,
        }
        const added = await withClient((client) => client.call(partnerSchema, 'POST', PATH, { json }))
        if (options.json === true) return printJson(added)
        process.stdout.write(`${added.partner} is a partner. It may search nothing until there is a grant.\n`)
      },
    )

  partner
    .command('list')
    .description('partners, revoked ones too')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { partnerSchema } = await import('../../cloud/api/sharing.ts')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const { partners } = await withClient((client) =>
        client.call(z.object({ partners: z.array(partnerSchema) }), 'GET', PATH),
      )
      if (options.json === true) return printJson(partners)
      const rows = partners.map((one) => [
        ...[one.partner, one.name, one.jurisdiction, one.url ?? 'only asks'],
        one.revokedAtMs === null
          ? `since ${time(one.addedAtMs)}`
          : `revoked ${time(one.revokedAtMs)} by ${one.revokedBy}`,
        one.fingerprint.slice(0, 16),
      ])
      process.stdout.write(table(['partner', 'name', 'jurisdiction', 'address', 'state', 'key'], rows))
    })

  partner
    .command('revoke')
    .description('end the partnership, its grants and its open connections, at once')
    .argument('<name>')
    .action(async (name: string) => {
      const { partnerSchema } = await import('../../cloud/api/sharing.ts')
      const { withClient } = await import('./client.ts')
      await withClient((client) => client.call(partnerSchema, 'POST', `${of(name)}/revoke`))
      process.stdout.write(`${name} is no partner any more.\n`)
    })

  partner
    .command('grants')
    .description('what that partner lets us search, asked of its cloud')
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (name: string, options: { json?: boolean }) => {
      const { givenGrantsSchema } = await import('../../cloud/sharing/wire.ts')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { grantTable } = await import('./grant.ts')
      const { grants } = await withClient((client) => client.call(givenGrantsSchema, 'GET', `${of(name)}/grants`))
      if (options.json === true) return printJson(grants)
      process.stdout.write(await grantTable(grants.map((grant) => ({ ...grant, partner: name, state: 'active' }))))
    })

  partner
    .command('reconcile')
    .description('compare our record of shared searches with the partner’s; exit code 1 when they differ')
    .argument('<name>')
    .requiredOption('--from <time>', 'searches from: 2026-01-31 or 2026-01-31T08:00:00Z', timeAt('start'))
    .requiredOption('--to <time>', 'and before; a date counts to its end', timeAt('end'))
    .option('--json', 'one JSON document')
    .action(async (name: string, options: { from: number; to: number; json?: boolean }) => {
      const { reconciliationSchema } = await import('../../cloud/api/sharing.ts')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const path = `${of(name)}/reconcile?fromMs=${options.from}&toMs=${options.to}`
      const found = await withClient((client) => client.call(reconciliationSchema, 'GET', path))
      const { compared, untold, differences } = found
      if (options.json === true) printJson(found)
      else {
        const said = (row: (typeof differences)[number]['here']) =>
          row === null ? '' : `${row.ownSeq ?? 'none'}, ${row.outcome}${row.results === null ? '' : ` ${row.results}`}`
        const rows = differences.map(({ askedBy, problem, here, there }) => [
          ...[time((here ?? there)?.atMs ?? 0), askedBy, problem.replaceAll('_', ' '), said(here), said(there)],
        ])
        if (rows.length > 0) process.stdout.write(table(['at', 'asked by', 'problem', 'ours', 'theirs'], rows))
        process.stdout.write(`${compared} searches compared, ${differences.length} differences.\n`)
        if (untold > 0)
          process.stdout.write(`For ${untold} our audit cannot tell any more: their entries went by the policy.\n`)
      }
      if (differences.length > 0) throw new AppError('integrity', `our record and that of ${name} differ`)
    })
}
