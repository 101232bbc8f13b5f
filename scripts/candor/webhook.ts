/** `candor webhook`: alerts for other programs over HTTP: add, list, test, pause, resume, replace the secret, remove. */
import type { Command } from 'commander'
import { AppError } from '../../shared/errors.ts'

export function register(program: Command): void {
  const webhook = program.command('webhook').description('alerts for other programs, over HTTP')

  const showSecret = async (made: { webhook: string; secret: string }, json: boolean | undefined) => {
    const { printJson } = await import('./terminal.ts')
    if (json === true) return printJson(made)
    process.stdout.write(
      `${made.webhook}: the secret that signs each delivery, shown this once; give it to the receiver:\n  ${made.secret}\n`,
    )
  }

  webhook
    .command('add')
    .description('send the alerts of these groups there, from the next one on; prints the secret of the signatures')
    .argument('<name>', 'name of the webhook: a-z, 0-9 and -')
    .requiredOption('--url <url>', 'https://…; http only to this cloud’s own machine')
    .option('--groups <names...>', 'groups whose alerts it gets', [])
    .option(
      '--notices <kinds...>',
      'what else it is told: camera_alarm, claim_misused, roll_out_halted, roll_out_still, authority_alarm',
      [],
    )
    .option('--include-plate', 'send the whole alert with the plate, not only what to look at in Candor')
    .option('--json', 'one JSON document')
    .action(
      async (
        name: string,
        options: { url: string; groups: string[]; notices: string[]; includePlate?: boolean; json?: boolean },
      ) => {
        const { z } = await import('zod')
        const { withClient } = await import('./client.ts')
        const json = {
          ...{ webhook: name, url: options.url, groups: options.groups.flatMap((text) => text.split(',')) },
          notices: options.notices.flatMap((text) => text.split(',')),
          includePlate: options.includePlate === true,
        }
        const schema = z.object({ webhook: z.string(), secret: z.string() })
        const made = await withClient((client) => client.call(schema, 'POST', '/api/v1/webhooks', { json }))
        await showSecret(made, options.json)
      },
    )

  webhook
    .command('list')
    .description('webhooks, how they are doing and what waits for them')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { age, printJson, table } = await import('./terminal.ts')
      const schema = z.object({
        webhooks: z.array(
          z.looseObject({
            webhook: z.string(),
            origin: z.string(),
            groups: z.array(z.string()),
            notices: z.array(z.string()),
            includePlate: z.boolean(),
            state: z.string(),
            failingSinceMs: z.int().nullable(),
            pausedAtMs: z.int().nullable(),
            pausedBy: z.string().nullable(),
            lastStatus: z.int().nullable(),
            lastReason: z.string().nullable(),
            waiting: z.int(),
            oldestQueuedAtMs: z.int().nullable(),
            dropped: z.int(),
          }),
        ),
      })
      const { webhooks } = await withClient((client) => client.call(schema, 'GET', '/api/v1/webhooks'))
      if (options.json === true) return printJson(webhooks)
      const since = (ms: number | null) => (ms === null ? '' : age(Math.max(0, Date.now() - ms)))
      const rows = webhooks.map((one) => [
        one.webhook,
        one.origin,
        [...one.groups, ...one.notices].join(' '),
        one.includePlate ? 'yes' : 'no',
        one.state === 'paused'
          ? `paused for ${since(one.pausedAtMs)} by ${one.pausedBy ?? ''}`
          : one.state === 'failing'
            ? `failing for ${since(one.failingSinceMs)}`
            : one.state,
        one.lastReason ?? (one.lastStatus === null ? '' : `status ${one.lastStatus}`),
        String(one.waiting),
        since(one.oldestQueuedAtMs),
        String(one.dropped),
      ])
      const header = ['webhook', 'origin', 'groups', 'plate', 'state', 'last', 'waiting', 'oldest', 'dropped']
      process.stdout.write(table(header, rows))
    })

  webhook
    .command('test')
    .description(
      'send a body that says that it is a test, and print how it was answered; exit code 1 unless it was taken',
    )
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (name: string, options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, printable } = await import('./terminal.ts')
      const schema = z.object({
        delivered: z.boolean(),
        status: z.int().nullable(),
        reason: z.string().nullable(),
        durationMs: z.int(),
      })
      const path = `/api/v1/webhooks/${encodeURIComponent(name)}/test`
      const outcome = await withClient((client) => client.call(schema, 'POST', path))
      if (options.json === true) printJson(outcome)
      else if (outcome.delivered)
        process.stdout.write(`${name}: status ${outcome.status} after ${outcome.durationMs} ms\n`)
      if (!outcome.delivered) {
        throw new AppError('unavailable', `${name}: ${printable(outcome.reason ?? '')} after ${outcome.durationMs} ms`)
      }
    })

  webhook
    .command('replace-secret')
    .description('a new secret; the old one signs nothing more. What the receiver refuses meanwhile is sent again')
    .argument('<name>')
    .option('--json', 'one JSON document')
    .action(async (name: string, options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const schema = z.object({ webhook: z.string(), secret: z.string() })
      const path = `/api/v1/webhooks/${encodeURIComponent(name)}/secret`
      await showSecret(await withClient((client) => client.call(schema, 'POST', path)), options.json)
    })

  const plain = (verb: string, description: string, method: 'POST' | 'DELETE', ending: string, done: string) =>
    webhook
      .command(verb)
      .description(description)
      .argument('<name>')
      .action(async (name: string) => {
        const { z } = await import('zod')
        const { withClient } = await import('./client.ts')
        const path = `/api/v1/webhooks/${encodeURIComponent(name)}${ending}`
        await withClient((client) => client.call(z.null(), method, path))
        process.stdout.write(`${name} ${done}.\n`)
      })
  plain('pause', 'send nothing until it is resumed; alerts go on waiting for it', 'POST', '/pause', 'is paused')
  plain('resume', 'send what waits, at once', 'POST', '/resume', 'is resumed')
  plain('remove', 'end it; what waits for it is dropped', 'DELETE', '', 'is removed')
}
