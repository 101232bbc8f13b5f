/** `candor audit witness|cosign|checkpoint`: the agency's side of its witnesses, and the witness itself. */
import type { Command } from 'commander'
import { usageError } from './options.ts'

export function registerWitness(audit: Command): void {
  audit
    .command('checkpoint')
    .description('the newest signed checkpoint; keep it: the log must continue it for ever')
    .option('--cosigned', 'the newest that a witness has cosigned')
    .option('--out <file>', 'where to; else to the terminal')
    .action(async (options: { cosigned?: boolean; out?: string }) => {
      const { withClient } = await import('./client.ts')
      const path = options.cosigned === true ? '/audit/checkpoint.cosigned' : '/audit/checkpoint'
      const note = await withClient((client) => client.bytes(path))
      if (options.out === undefined) process.stdout.write(note)
      else {
        const { writeFile } = await import('node:fs/promises')
        await writeFile(options.out, note)
      }
    })

  const cosign = audit.command('cosign').description('what witnesses have signed')
  cosign
    .command('add')
    .description('take in a checkpoint of this log that known witnesses have cosigned')
    .argument('<file>', 'as `candor audit witness sign` wrote it')
    .option('--json', 'one JSON document')
    .action(async (file: string, options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { noteAsKept } = await import('../../cloud/audit/note.ts')
      const { readText, withClient } = await import('./client.ts')
      const { printJson, time } = await import('./terminal.ts')
      const schema = z.object({
        size: z.int(),
        witnesses: z.array(z.object({ witness: z.string(), atMs: z.int(), isNew: z.boolean() })),
      })
      const json = { checkpoint: noteAsKept(readText(file)) }
      const taken = await withClient((client) => client.call(schema, 'POST', '/api/v1/audit/cosignatures', { json }))
      if (options.json === true) return printJson(taken)
      for (const { witness, atMs, isNew } of taken.witnesses)
        process.stdout.write(
          `${witness} cosigned ${taken.size} entries at ${time(atMs)}${isNew ? '' : ' (known already)'}\n`,
        )
    })

  const witness = audit.command('witness').description('organisations outside the agency that watch the log')
  witness
    .command('add')
    .description('make a witness known by its verifier key')
    .argument('<name>', 'what to call it here: a-z, 0-9 and -')
    .argument('<key>', 'as `candor audit witness key` printed it, or a file with it')
    .action(async (name: string, given: string) => {
      const { z } = await import('zod')
      const { verifierKey } = await import('../../cloud/audit/note.ts')
      const { readVerifierKey } = await import('./audit-verdict.ts')
      const { withClient } = await import('./client.ts')
      const json = { key: verifierKey(readVerifierKey(given)) }
      const path = `/api/v1/audit/witnesses/${encodeURIComponent(name)}`
      await withClient((client) => client.call(z.object({ witness: z.string() }), 'PUT', path, { json }))
      process.stdout.write(`${name} is known\n`)
    })

  witness
    .command('remove')
    .description('no longer know a witness; what it has cosigned stays')
    .argument('<name>')
    .action(async (name: string) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const path = `/api/v1/audit/witnesses/${encodeURIComponent(name)}`
      await withClient((client) => client.call(z.object({ witness: z.string() }), 'DELETE', path))
      process.stdout.write(`${name} is no longer known\n`)
    })

  witness
    .command('list')
    .description('known witnesses and what they last cosigned')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const cosigned = z.object({ size: z.int(), atMs: z.int() }).nullable()
      const schema = z.object({
        key: z.string(),
        witnesses: z.array(z.object({ witness: z.string(), key: z.string(), cosigned })),
      })
      const known = await withClient((client) => client.call(schema, 'GET', '/api/v1/audit/witnesses'))
      if (options.json === true) return printJson(known)
      const rows = known.witnesses.map((one) => [
        one.witness,
        one.key,
        one.cosigned === null ? 'nothing yet' : `${one.cosigned.size} entries at ${time(one.cosigned.atMs)}`,
      ])
      process.stdout.write(table(['WITNESS', 'KEY', 'COSIGNED'], rows))
      process.stdout.write(`The log itself: ${known.key}\n`)
    })

  witness
    .command('key')
    .description('for a witness: make its key; the public half is printed, for the agency and everybody else')
    .requiredOption(
      '--name <name>',
      'name of the key, best an address without https://, such as county.example/witness',
    )
    .requiredOption('--out <file>', 'file of the private half; must not be there yet')
    .action(async (options: { name: string; out: string }) => {
      const { makeWitness } = await import('./audit-verdict.ts')
      process.stdout.write(`${makeWitness(options.name, options.out)}\n`)
    })

  witness
    .command('sign')
    .description('for a witness: look at the log, and cosign it if it continues what was seen before')
    .requiredOption('--key <file>', 'private key of the witness')
    .requiredOption('--state <file>', 'what it has seen; made the first time')
    .option('--log <place>', 'address of the log, such as https://HOST/audit, or a folder of published tiles')
    .option('--log-key <key>', 'verifier key of the log or a file with it, the first time')
    .option('--ca <file>', 'authority of the server\u2019s certificate, if no public one')
    .option('--out <file>', 'where the cosigned checkpoint goes; else to the terminal')
    .option('--json', 'one JSON document')
    .action(async (options: SignOptions) => {
      const { systemClock } = await import('../../shared/clock.ts')
      const { parseWitnessSecret } = await import('../../cloud/audit/note.ts')
      const { openPlace } = await import('../../cloud/audit/place.ts')
      const { witnessLog } = await import('../../cloud/audit/witness.ts')
      const { readGiven, readVerifierKey } = await import('./audit-verdict.ts')
      const { printJson } = await import('./terminal.ts')
      if (options.log === undefined) throw usageError('say which log: --log https://HOST/audit, or --log FOLDER')
      const done = await witnessLog({
        place: openPlace(options.log, options.ca === undefined ? null : readGiven(options.ca)),
        signer: parseWitnessSecret(readGiven(options.key)),
        stateFile: options.state,
        key: options.logKey === undefined ? null : readVerifierKey(options.logKey),
        nowMs: systemClock.nowMs(),
      })
      if (options.out !== undefined) {
        const { writeFile } = await import('node:fs/promises')
        await writeFile(options.out, done.note)
      }
      if (options.json === true) return printJson(done)
      process.stdout.write(
        options.out === undefined ? done.note : `${done.origin}: ${done.size} entries, ${done.before} before\n`,
      )
    })
}

interface SignOptions {
  key: string
  state: string
  log?: string
  logKey?: string
  ca?: string
  out?: string
  json?: boolean
}
