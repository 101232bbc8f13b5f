/** `candor factor`: one's own second factors from a terminal. Security keys are added on the page: only a browser can ask them. */
import type { Command } from 'commander'

export function register(program: Command): void {
  const factor = program
    .command('factor')
    .description('your own second factors: authenticator app, security keys, recovery codes')

  factor
    .command('list')
    .description('what you have')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const schema = z.object({
        mustEnrol: z.boolean(),
        totp: z.object({ addedAtMs: z.number() }).nullable(),
        keys: z.array(z.object({ name: z.string(), addedAtMs: z.number(), usedAtMs: z.number().nullable() })),
        recoveryCodesLeft: z.number(),
      })
      const found = await withClient((client) => client.call(schema, 'GET', '/api/v1/me/factors'))
      if (options.json === true) return printJson(found)
      const { totp, keys, recoveryCodesLeft } = found
      const rows = keys.map((key) => [
        `security key ${key.name}`,
        time(key.addedAtMs),
        key.usedAtMs === null ? '-' : time(key.usedAtMs),
      ])
      if (totp !== null) rows.unshift(['authenticator app', time(totp.addedAtMs), ''])
      if (rows.length === 0) process.stdout.write('No second factor. Add one: candor factor totp\n')
      else process.stdout.write(`${table(['factor', 'added', 'used'], rows)}${recoveryCodesLeft} recovery codes left\n`)
    })

  factor
    .command('totp')
    .description('add an authenticator app, or put another one in its place; ends your other sessions')
    .option('--password-file <file>', 'read your password from its first line instead of asking')
    .option('--secret-file <file>', 'for scripts: write the secret into this new file instead of showing it')
    .option('--json', 'one JSON document')
    .action(async (options: { passwordFile?: string; secretFile?: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, readPassword } = await import('./terminal.ts')
      const { AppError } = await import('../../shared/errors.ts')
      if (options.secretFile === undefined && (options.json === true || !process.stdin.isTTY)) {
        throw new AppError('bad_input', 'no terminal to show the secret on and ask for a code', {
          hint: 'name a file with --secret-file',
        })
      }
      const password = await readPassword(options.passwordFile, 'known')
      const recoveryCodes = await withClient(async (client) => {
        const started = z.object({ secret: z.string(), uri: z.string() })
        const path = '/api/v1/me/factors/totp'
        const { secret, uri } = await client.call(started, 'POST', path, { json: { password } })
        const code = await (options.secretFile === undefined
          ? showAndAsk(secret, uri)
          : keep(secret, options.secretFile))
        const confirmed = z.object({ recoveryCodes: z.array(z.string()).nullable() })
        return (await client.call(confirmed, 'POST', `${path}/confirm`, { json: { code } })).recoveryCodes
      })
      if (options.json === true) return printJson({ recoveryCodes })
      process.stdout.write('The authenticator app is added.\n')
      await showRecoveryCodes(recoveryCodes)
    })

  factor
    .command('recovery-codes')
    .description('new recovery codes; the old ones are void')
    .option('--password-file <file>', 'read your password from its first line instead of asking')
    .option('--json', 'one JSON document')
    .action(async (options: { passwordFile?: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, readPassword } = await import('./terminal.ts')
      const password = await readPassword(options.passwordFile, 'known')
      const schema = z.object({ recoveryCodes: z.array(z.string()) })
      const made = await withClient((client) =>
        client.call(schema, 'POST', '/api/v1/me/factors/recovery-codes', { json: { password } }),
      )
      if (options.json === true) return printJson(made)
      await showRecoveryCodes(made.recoveryCodes)
    })

  factor
    .command('remove')
    .description('remove the authenticator app (totp) or a security key by its name; ends your other sessions')
    .argument('<factor>', 'totp, or the name of a key')
    .option('--password-file <file>', 'read your password from its first line instead of asking')
    .action(async (name: string, options: { passwordFile?: string }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { readPassword } = await import('./terminal.ts')
      const password = await readPassword(options.passwordFile, 'known')
      const path = name === 'totp' ? 'totp' : `keys/${encodeURIComponent(name)}`
      await withClient((client) =>
        client.call(z.null(), 'POST', `/api/v1/me/factors/${path}/remove`, { json: { password } }),
      )
      process.stdout.write(`${name} is removed.\n`)
    })
}

async function showAndAsk(secret: string, uri: string): Promise<string> {
  const { renderUnicodeCompact } = await import('uqr')
  const { readPassword } = await import('./terminal.ts')
  process.stderr.write(`${renderUnicodeCompact(uri)}\nOr type this secret into the app: ${secret}\n`)
  return readPassword(undefined, 'known', 'Code that the app shows')
}

/** Only its owner can read the file; one that is there is not replaced. */
async function keep(secret: string, file: string): Promise<string> {
  const { writeFile } = await import('node:fs/promises')
  const { codeAt } = await import('../../cloud/accounts/totp.ts')
  await writeFile(file, `${secret}\n`, { flag: 'wx', mode: 0o600 })
  return codeAt(secret, Date.now())
}

async function showRecoveryCodes(codes: readonly string[] | null): Promise<void> {
  if (codes === null) return
  process.stdout.write(
    `Recovery codes, for when the factor is lost. Each works once; they are not shown again:\n  ${codes.join('\n  ')}\n`,
  )
}
