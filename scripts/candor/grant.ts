/** `candor grant`: what a partner may search here: add, list, approve, reject, revoke. */
import { type Command, Option } from 'commander'
import type { z } from 'zod'
import type { grantSchema } from '../../cloud/api/sharing.ts'
import { positiveNumber, timeAt } from './options.ts'

const PATH = '/api/v1/grants'

interface AddOptions {
  purposes: string[]
  what: string
  cameras: string[]
  maxAgeDays: number
  from?: number
  until: number
  crops: string
  patterns: string
  json?: boolean
}

type Shown = Pick<
  z.infer<typeof grantSchema>,
  | 'grantId'
  | 'partner'
  | 'purposes'
  | 'what'
  | 'cameras'
  | 'maxAgeDays'
  | 'fromMs'
  | 'untilMs'
  | 'crops'
  | 'patterns'
  | 'state'
>

export async function grantTable(grants: readonly Shown[]): Promise<string> {
  const { table, time } = await import('./terminal.ts')
  const rows = grants.map((grant) => [
    ...[grant.grantId, grant.partner, grant.state, grant.purposes.join(' '), grant.what],
    grant.cameras.length === 0 ? 'all' : grant.cameras.join(' '),
    ...[`${grant.maxAgeDays} d`, time(grant.fromMs), time(grant.untilMs)],
    ...[grant.crops ? 'yes' : 'no', grant.patterns ? 'yes' : 'no'],
  ])
  const header = [
    'grant',
    'partner',
    'state',
    'purposes',
    'what',
    'cameras',
    'age',
    'from',
    'until',
    'pictures',
    'patterns',
  ]
  return table(header, rows)
}

export function register(program: Command): void {
  const grant = program.command('grant').description('what partners may search here')
  const list = (text: string, before: string[] = []) => [...before, ...text.split(',').filter((one) => one !== '')]
  const yesNo = (flags: string, description: string) =>
    new Option(flags, description).choices(['yes', 'no']).default('no')

  grant
    .command('add')
    .description('let a partner search; where the policy wants a second person, once that has approved')
    .argument('<partner>')
    .requiredOption('--purposes <names>', 'for which, of the policy’s; separated by commas', list)
    .addOption(
      new Option('--what <reads>', 'all reads, or those alone that met an entry of a list')
        .choices(['sightings', 'matches'])
        .makeOptionMandatory(),
    )
    .option('--cameras <names>', 'these alone, separated by commas; without it all', list, [])
    .requiredOption('--max-age-days <n>', 'seen no longer ago', positiveNumber)
    .option('--from <time>', 'in force from: 2026-01-31 or 2026-01-31T08:00:00Z; without it from now', timeAt('start'))
    .requiredOption('--until <time>', 'in force before; a date counts to its end', timeAt('end'))
    .addOption(yesNo('--crops <yes|no>', 'with evidence pictures'))
    .addOption(yesNo('--patterns <yes|no>', 'by pattern too, not by a whole plate alone'))
    .option('--json', 'one JSON document')
    .action(async (partner: string, options: AddOptions) => {
      const { grantSchema } = await import('../../cloud/api/sharing.ts')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { purposes, what, cameras, maxAgeDays, until } = options
      const json = {
        ...{ partner, purposes, what, cameras, maxAgeDays, fromMs: options.from ?? null, untilMs: until },
        ...{ crops: options.crops === 'yes', patterns: options.patterns === 'yes' },
      }
      const made = await withClient((client) => client.call(grantSchema, 'POST', PATH, { json }))
      if (options.json === true) return printJson(made)
      const state = made.state === 'proposed' ? 'waits for a second person' : 'is in force'
      process.stdout.write(`Grant ${made.grantId} for ${partner} ${state}.\n`)
    })

  grant
    .command('list')
    .description('grants, newest first, ended ones too')
    .option('--partner <name>', 'of this partner alone')
    .option('--json', 'one JSON document')
    .action(async (options: { partner?: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { grantSchema } = await import('../../cloud/api/sharing.ts')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const path = options.partner === undefined ? PATH : `${PATH}?partner=${encodeURIComponent(options.partner)}`
      const { grants } = await withClient((client) =>
        client.call(z.object({ grants: z.array(grantSchema) }), 'GET', path),
      )
      if (options.json === true) return printJson(grants)
      process.stdout.write(await grantTable(grants))
    })

  const change = (verb: string, description: string, done: string) =>
    grant
      .command(verb)
      .description(description)
      .argument('<grant>', 'as in `candor grant list`')
      .action(async (grantId: string) => {
        const { grantSchema } = await import('../../cloud/api/sharing.ts')
        const { withClient } = await import('./client.ts')
        const path = `${PATH}/${encodeURIComponent(grantId)}/${verb}`
        const { partner } = await withClient((client) => client.call(grantSchema, 'POST', path))
        process.stdout.write(`The grant for ${partner} ${done}.\n`)
      })
  change('approve', 'the second person’s yes', 'is in force')
  change('reject', 'the second person’s no', 'is rejected')
  change('revoke', 'end a grant at once; one person suffices', 'is revoked')
}
