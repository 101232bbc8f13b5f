/** `candor account`: people. `first`, `unlock` and `reset-factors` also work on the server itself, without a session. */
import type { Command } from 'commander'
import { usageError } from './options.ts'

export function register(program: Command): void {
  const account = program.command('account').description('accounts of people')

  account
    .command('first')
    .description('on the server itself: make the first administrator of a new cloud')
    .requiredOption('--config <file>', 'configuration file of the cloud')
    .requiredOption('--account <name>', 'name of the account: a-z, 0-9 and -')
    .option('--password-file <file>', 'read the password from its first line instead of asking')
    .action(async (options: { config: string; account: string; passwordFile?: string }) => {
      const { onHost } = await import('./host.ts')
      const { readPassword } = await import('./terminal.ts')
      const password = await readPassword(options.passwordFile, 'new')
      const made = await onHost(options.config, (host) =>
        host.firstAdministrator({ account: options.account, password }),
      )
      process.stdout.write(`${made.account} is the first administrator: ${made.roles.join(', ')}.\n`)
    })

  account
    .command('add')
    .description('add an account')
    .argument('<name>')
    .requiredOption(
      '--role <names...>',
      'officer, supervisor, investigator, hotlist-admin, camera-technician, policy-admin, account-admin, auditor',
    )
    .option('--group <names...>', 'groups whose alerts the person gets', [])
    .option('--password-file <file>', 'read the first password from its first line instead of asking')
    .action(async (name: string, options: { role: string[]; group: string[]; passwordFile?: string }) => {
      const { readPassword } = await import('./terminal.ts')
      const roles = await knownRoles(options.role)
      const password = await readPassword(options.passwordFile, 'new')
      const json = { account: name, password, roles, groups: split(options.group) }
      await change('POST', '/api/v1/accounts', json, `${name} is added.`)
    })

  account
    .command('set')
    .description('set roles and groups of another account; ends its sessions')
    .argument('<name>')
    .requiredOption('--role <names...>', 'all its roles')
    .option('--group <names...>', 'all its groups', [])
    .action(async (name: string, options: { role: string[]; group: string[] }) =>
      change(
        'PATCH',
        accountPath(name),
        { roles: await knownRoles(options.role), groups: split(options.group) },
        `${name} is changed.`,
      ),
    )

  for (const [verb, disabled, description] of [
    ['disable', true, 'disable an account; its sessions and connections end at once'],
    ['enable', false, 'enable a disabled account'],
  ] as const) {
    account
      .command(verb)
      .description(description)
      .argument('<name>')
      .action((name: string) => change('PATCH', accountPath(name), { disabled }, `${name} is ${verb}d.`))
  }

  account
    .command('unlock')
    .description('unlock an account after failed log-ins; on the server itself with --config')
    .argument('<name>')
    .option('--config <file>', 'configuration file of the cloud, instead of a session')
    .action(async (name: string, options: { config?: string }) => {
      if (options.config === undefined)
        return change('PATCH', accountPath(name), { locked: false }, `${name} is unlocked.`)
      const { onHost } = await import('./host.ts')
      await onHost(options.config, (host) => host.unlock(name))
      process.stdout.write(`${name} is unlocked.\n`)
    })

  account
    .command('reset-factors')
    .description(
      'take every second factor of an account away, for who has lost them; on the server itself with --config',
    )
    .argument('<name>')
    .option('--config <file>', 'configuration file of the cloud, instead of a session')
    .action(async (name: string, options: { config?: string }) => {
      const done = `${name} has no second factor any more.`
      if (options.config === undefined) return change('DELETE', `${accountPath(name)}/factors`, undefined, done)
      const { onHost } = await import('./host.ts')
      await onHost(options.config, (host) => host.resetFactors(name))
      process.stdout.write(`${done}\n`)
    })

  account
    .command('password')
    .description('change your own password, or with --account set another one’s')
    .option('--account <name>', 'another account (needs account-admin)')
    .option('--current-file <file>', 'read your current password from its first line instead of asking')
    .option('--password-file <file>', 'read the new password from its first line instead of asking')
    .action(async (options: { account?: string; currentFile?: string; passwordFile?: string }) => {
      const { readPassword } = await import('./terminal.ts')
      if (options.account !== undefined) {
        const password = await readPassword(options.passwordFile, 'new', 'New password')
        return change('PATCH', accountPath(options.account), { password }, 'The password is set.')
      }
      const current = await readPassword(options.currentFile, 'known', 'Current password', '--current-file')
      const next = await readPassword(options.passwordFile, 'new', 'New password')
      return change(
        'POST',
        '/api/v1/me/password',
        { current, next },
        'The password is changed; your other sessions have ended.',
      )
    })

  account
    .command('list')
    .description('all accounts')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table } = await import('./terminal.ts')
      const schema = z.object({
        accounts: z.array(
          z.looseObject({
            account: z.string(),
            state: z.string(),
            roles: z.array(z.string()),
            groups: z.array(z.string()),
          }),
        ),
      })
      const { accounts } = await withClient((client) => client.call(schema, 'GET', '/api/v1/accounts'))
      if (options.json === true) return printJson(accounts)
      const rows = accounts.map((one) => [one.account, one.state, one.roles.join(','), one.groups.join(',')])
      process.stdout.write(table(['account', 'state', 'roles', 'groups'], rows))
    })
}

function accountPath(name: string): string {
  return `/api/v1/accounts/${encodeURIComponent(name)}`
}

/** `--role a b` and `--role a,b` alike. */
async function knownRoles(values: readonly string[]): Promise<string[]> {
  const { PERSON_ROLES } = await import('../../cloud/permissions.ts')
  const roles = split(values)
  const wrong = roles.find((role) => !PERSON_ROLES.some((one) => one === role))
  if (wrong !== undefined) throw usageError(`there is no role ${wrong}; there are: ${PERSON_ROLES.join(', ')}`)
  return roles
}

function split(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(',')).filter((value) => value !== '')
}

async function change(method: string, path: string, json: unknown, done: string): Promise<void> {
  const { z } = await import('zod')
  const { withClient } = await import('./client.ts')
  await withClient((client) => client.call(z.unknown(), method, path, { json }))
  process.stdout.write(`${done}\n`)
}
