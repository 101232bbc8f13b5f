/** `candor login` and `candor logout`: the session that the other commands use. */
import type { Command } from 'commander'

interface Options {
  cloud: string
  ca: string
  account: string
  passwordFile?: string
  totpSecretFile?: string
  pageCode?: boolean
  codeFile?: string
}

const CODE = 'Code of your authenticator app, or a recovery code'

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
    .option(
      '--totp-secret-file <file>',
      'for scripts: make the codes of the authenticator app from the secret in its first line',
      process.env.CANDOR_TOTP_SECRET_FILE,
    )
    .option('--page-code', 'log in by a one-time code that the page shows instead of a password')
    .option('--code-file <file>', 'read that code from its first line instead of asking')
    .action(async (options: Options) => {
      const { logIn, logInByPageCode, readText, save } = await import('./client.ts')
      const { readPassword } = await import('./terminal.ts')
      const { cloud: url, account } = options
      const caPem = readText(options.ca)
      const session =
        options.pageCode === true
          ? await logInByPageCode(
              { url, caPem },
              account,
              await readPassword(options.codeFile, 'known', 'Code', '--code-file'),
            )
          : await logIn({
              ...{ url, caPem, account, totpSecretFile: options.totpSecretFile },
              password: await readPassword(options.passwordFile, 'known'),
              askCode: () => readPassword(undefined, 'known', CODE, '--totp-secret-file'),
            })
      const path = save(session)
      process.stdout.write(`Logged in as ${account}. The session is kept in ${path}; it ends after 30 idle minutes.\n`)
      if (session.mustEnrol) {
        process.stdout.write('Your account needs a second factor before anything else: candor factor totp\n')
      }
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
