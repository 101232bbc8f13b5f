/** `candor review`: what stands out in the use of the system, looked at by somebody else. */
import { type Command, Option } from 'commander'
import { wholeNumber } from './options.ts'

export function register(program: Command): void {
  const review = program.command('review').description('what stands out in how people use the system')

  const schemas = async () => {
    const { z } = await import('zod')
    const findingSchema = z.looseObject({
      ...{ findingId: z.string(), fromMs: z.int(), toMs: z.int(), who: z.string(), flag: z.string(), why: z.string() },
      ...{ entries: z.array(z.int()), entryCount: z.int(), madeAtMs: z.int(), decision: z.string() },
      ...{ note: z.string().nullable(), decidedAtMs: z.int().nullable(), decidedBy: z.string().nullable() },
    })
    return { z, findingSchema }
  }

  review
    .command('list')
    .description('findings, newest first; by default those that nobody has decided')
    .addOption(
      new Option('--decision <state>', 'those decided so, or all')
        .choices(['open', 'no_concern', 'explained', 'concern', 'all'])
        .default('open'),
    )
    .option('--limit <count>', 'of one page, at most 200', wholeNumber(1, 200), 50)
    .option('--offset <count>', 'findings to skip', wholeNumber(0), 0)
    .option('--json', 'one JSON document')
    .action(async (options: { decision: string; limit: number; offset: number; json?: boolean }) => {
      const { z, findingSchema } = await schemas()
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const query = new URLSearchParams({ limit: String(options.limit), offset: String(options.offset) })
      if (options.decision !== 'all') query.set('decision', options.decision)
      const schema = z.object({ findings: z.array(findingSchema) })
      const { findings } = await withClient((client) => client.call(schema, 'GET', `/api/v1/review/findings?${query}`))
      if (options.json === true) return printJson(findings)
      const day = (ms: number) => time(ms).slice(0, 10)
      const rows = findings.map((one) => [
        one.findingId,
        `${day(one.fromMs)} to ${day(one.toMs - 1)}`,
        one.who,
        one.flag,
        String(one.entryCount),
        one.decision,
      ])
      process.stdout.write(table(['finding', 'period', 'who', 'flag', 'entries', 'decision'], rows))
    })

  review
    .command('show')
    .description('one finding: why, and the audit entries that it is about')
    .argument('<finding>')
    .option('--json', 'one JSON document')
    .action(async (findingId: string, options: { json?: boolean }) => {
      const { z, findingSchema } = await schemas()
      const { entrySchema } = await import('../../cloud/audit/entry.ts')
      const { withClient } = await import('./client.ts')
      const { printable, printJson, time } = await import('./terminal.ts')
      const { describeEntry } = await import('./audit.ts')
      const schema = z.object({ finding: findingSchema, entries: z.array(entrySchema) })
      const path = `/api/v1/review/findings/${encodeURIComponent(findingId)}`
      const answer = await withClient((client) => client.call(schema, 'GET', path))
      if (options.json === true) return printJson(answer)
      const { finding, entries } = answer
      process.stdout.write(`${finding.who}: ${finding.flag}\n${printable(finding.why)}\n\n`)
      for (const entry of entries) process.stdout.write(`${printable(describeEntry(entry))}\n`)
      if (finding.entryCount > entries.length)
        process.stdout.write(`… and ${finding.entryCount - entries.length} more entries\n`)
      if (finding.decidedAtMs !== null) {
        const note = finding.note === null ? '' : `: ${printable(finding.note)}`
        process.stdout.write(`\n${finding.decision}, ${finding.decidedBy ?? ''}, ${time(finding.decidedAtMs)}${note}\n`)
      }
    })

  review
    .command('decide')
    .description('decide a finding about somebody else; what is explained, and a concern, need a note')
    .argument('<finding>')
    .argument('<decision>', 'no_concern, explained or concern')
    .option('--note <text>', 'what explains it, or what follows from the concern and who does that', '')
    .option('--json', 'one JSON document')
    .action(async (findingId: string, decision: string, options: { note: string; json?: boolean }) => {
      const { findingSchema } = await schemas()
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const path = `/api/v1/review/findings/${encodeURIComponent(findingId)}/decision`
      const finding = await withClient((client) =>
        client.call(findingSchema, 'POST', path, { json: { decision, note: options.note } }),
      )
      if (options.json === true) return printJson(finding)
      process.stdout.write(`${findingId}: ${finding.decision}.\n`)
    })

  review
    .command('status')
    .description('how many findings are open and overdue; exit code 1 when some are overdue')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { EXIT } = await import('../../shared/errors.ts')
      const { withClient } = await import('./client.ts')
      const { age, printJson, time } = await import('./terminal.ts')
      const schema = z.object({
        ...{ open: z.int(), overdue: z.int(), oldestOpenAtMs: z.int().nullable(), nextAtMs: z.int().nullable() },
        last: z.object({ fromMs: z.int(), toMs: z.int(), findings: z.int(), leftOut: z.int() }).nullable(),
      })
      const status = await withClient((client) => client.call(schema, 'GET', '/api/v1/review/status'))
      if (status.overdue > 0) process.exitCode = EXIT.failed
      if (options.json === true) return printJson(status)
      const oldest = status.oldestOpenAtMs === null ? '' : `, the oldest for ${age(Date.now() - status.oldestOpenAtMs)}`
      process.stdout.write(`${status.open} findings are open${oldest}; ${status.overdue} are overdue.\n`)
      if (status.last !== null) {
        const { fromMs, toMs, findings, leftOut } = status.last
        const more = leftOut === 0 ? '' : `, and ${leftOut} more than are kept`
        process.stdout.write(`The last period, ${time(fromMs)} to ${time(toMs)}, had ${findings}${more}.\n`)
      }
      if (status.nextAtMs !== null) process.stdout.write(`The next one is over at ${time(status.nextAtMs)}.\n`)
    })
}
