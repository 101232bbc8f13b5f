/** `candor audit trace`: which entry of the audit a file that got out is of. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { usageError } from './options.ts'

/** Of a file that is looked at, bytes; the largest export has about 2 MB. */
export const MAX_TRACED_BYTES = 64 * 1024 * 1024

/** Added to the commands of `candor audit`. */
export function register(program: Command): void {
  program.commands
    .find((command) => command.name() === 'audit')
    ?.command('trace')
    .description('which export, by whom and for which case, a file or a part of one is of')
    .argument('<file>', 'an exported file, or what is left of it')
    .option('--json', 'one JSON document')
    .action(async (file: string, options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { entrySchema } = await import('../../cloud/audit/entry.ts')
      const { readMarks } = await import('../../cloud/search/export.ts')
      const { EXIT } = await import('../../shared/errors.ts')
      const { sha256Hex } = await import('../../shared/signing.ts')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { marks, end } = readMarks(read(file))
      if (marks.length === 0) {
        if (options.json === true) printJson({ traced: [], isUnchanged: null })
        else process.stdout.write('There is no mark of an export in it.\n')
        process.exitCode = EXIT.failed
        return
      }
      const schema = z.object({
        traced: z.array(z.object({ mark: z.object({ auditSeq: z.int() }), entry: entrySchema.nullable() })),
        isUnchanged: z.boolean().nullable(),
      })
      const json = {
        marks,
        end: end === null ? null : { bodySha256: sha256Hex(Buffer.from(end.body)), digest: end.digest },
      }
      const answer = await withClient((client) => client.call(schema, 'POST', '/api/v1/audit/trace', { json }))
      if (options.json === true) printJson(answer)
      else {
        for (const { mark, entry } of answer.traced) {
          process.stdout.write(
            entry === null
              ? `A mark that names entry ${mark.auditSeq} was not made by this agency: it is forged or changed.\n`
              : `Audit entry ${entry.seq}: exported by ${entry.actor.account} at ${entry.at}, case ${entry.caseNumber}, ${entry.results} rows of search ${entry.completes}.\n`,
          )
        }
        if (answer.isUnchanged !== null) {
          process.stdout.write(answer.isUnchanged ? 'The file is as it was exported.\n' : 'THE FILE WAS CHANGED.\n')
        }
      }
      if (answer.traced.some(({ entry }) => entry === null)) process.exitCode = EXIT.failed
    })
}

function read(file: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch {
    throw usageError(`${file} cannot be read`)
  }
  if (bytes.length > MAX_TRACED_BYTES) throw usageError(`${file} is longer than any export`)
  return bytes.toString('utf8')
}
