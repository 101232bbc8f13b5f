/** `candor login` and `candor logout`: the session that the other commands use. */
import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('login')
    .description('open a session with the cloud and keep it for the other commands')
    .requiredOption('--cloud <url>', 'https://HOST:8443', process.env.CANDOR_CLOUD)
    .requiredOption(
      '--ca <file>',
      'certificate of the cloud’s authority (authority/ca.pem in its data folder)',
      process.env.CANDOR_CA,
    )
    .requiredOption('--account <name>', 'your account', process.env.CANDOR_ACCOUNT)
    .option('--password-file <file>', 'read the password from its first line instead of asking')
    .action(async (options: { cloud: string; ca: string; account: string; passwordFile?: string }) => {
      const { logIn, readText, save } = await import('./client.ts')
      const { readPassword } = await import('./terminal.ts')
      const session = await logIn({
        url: options.cloud,
        caPem: readText(options.ca),
        account: options.account,
        password: await readPassword(options.passwordFile, 'known'),
      })
      const path = save(session)
      process.stdout.write(
        `Logged in as ${options.account}. The session is kept in ${path}; it ends after 30 idle minutes.\n`,
      )
    })

  program
    .command('logout')
    .description('end the session')
    .action(async () => {
      const { z } = await import('zod')
      const { forget, withClient } = await import('./client.ts')
      try {
        await withClient((client) => client.call(z.null(), 'POST', '/api/v1/logout'))
      } finally {
        forget()
      }
      process.stdout.write('Logged out.\n')
    })
}
