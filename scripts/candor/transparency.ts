/** `candor transparency`: what is published of how the system is used. */
import { type Command, InvalidArgumentError } from 'commander'
import { usageError } from './options.ts'

interface DayOptions {
  month?: string
  from?: string
  to?: string
}

function month(text: string): string {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) return text
  throw new InvalidArgumentError('a month is needed, such as 2026-10.')
}

function date(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && Number.isFinite(Date.parse(`${text}T00:00:00Z`))) return text
  throw new InvalidArgumentError('a date is needed, such as 2026-10-31.')
}

/** First and last day, UTC. */
export function daysOf({ month: of, from, to }: DayOptions): { from: string; to: string } {
  if (of !== undefined && from === undefined && to === undefined) {
    const last = new Date(Date.UTC(Number(of.slice(0, 4)), Number(of.slice(5)), 0)).toISOString().slice(0, 10)
    return { from: `${of}-01`, to: last }
  }
  if (of === undefined && from !== undefined && to !== undefined) return { from, to }
  throw usageError('say which days: --month 2026-10, or --from DATE --to DATE')
}

export function register(program: Command): void {
  const transparency = program.command('transparency').description('what is published of how the system is used')
  const ofDays = (command: Command) =>
    command
      .option('--month <month>', 'a month (UTC), such as 2026-10', month)
      .option('--from <date>', 'first day', date)
      .option('--to <date>', 'last day', date)

  ofDays(transparency.command('report'))
    .description('a draft of a report: what it would say; nothing is published')
    .option('--out <folder>', 'write report.json, report.csv and index.html there')
    .option('--json', 'the report as JSON')
    .action(async (options: DayOptions & { out?: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { mkdirSync, writeFileSync } = await import('node:fs')
      const { join } = await import('node:path')
      const { FILES, inWords, reportSchema } = await import('../../cloud/transparency/document.ts')
      const { withClient } = await import('./client.ts')
      const { printable, table } = await import('./terminal.ts')
      const query = new URLSearchParams(daysOf(options))
      const schema = z.object({ json: z.string(), csv: z.string(), html: z.string() })
      const files = await withClient((client) => client.call(schema, 'GET', `/api/v1/transparency/draft?${query}`))
      if (options.out !== undefined) {
        mkdirSync(options.out, { recursive: true })
        for (const file of ['json', 'csv', 'html'] as const) writeFileSync(join(options.out, FILES[file]), files[file])
      }
      if (options.json === true) return void process.stdout.write(files.json)
      const report = reportSchema.parse(JSON.parse(files.json))
      for (const { title, figures, tables } of report.sections) {
        if (figures.length + tables.length === 0) continue
        process.stdout.write(`\n${title}\n`)
        process.stdout.write(
          table(
            ['', ''],
            figures.map(({ label, value }) => [label, inWords(value)]),
          ),
        )
        for (const { caption, head, rows, withheld } of tables) {
          process.stdout.write(`\n${printable(caption)}\n`)
          if (rows.length === 0) process.stdout.write(`${withheld ?? 'None in this period.'}\n`)
          else
            process.stdout.write(
              table(
                head,
                rows.map(({ label, values }) => [label, ...values.map(inWords)]),
              ),
            )
        }
      }
    })

  ofDays(transparency.command('publish'))
    .description(
      'publish the report of days that are over; it is never changed, a second one of the same days corrects it',
    )
    .option('--json', 'one JSON document')
    .action(async (options: DayOptions & { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const schema = z.looseObject({ reportId: z.int(), from: z.string(), to: z.string(), manifestSha256: z.string() })
      const json = daysOf(options)
      await withClient(async (client) => {
        const report = await client.call(schema, 'POST', '/api/v1/transparency/reports', { json })
        if (options.json === true) return printJson(report)
        process.stdout.write(
          `Report ${report.reportId}, ${report.from} to ${report.to}: ${client.url}/transparency/reports/${report.reportId}/\n`,
        )
      })
    })

  transparency
    .command('list')
    .description('published reports, newest first')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const schema = z.object({
        reports: z.array(
          z.object({
            ...{ reportId: z.int(), from: z.string(), to: z.string() },
            ...{ madeAtMs: z.int(), madeBy: z.string().nullable() },
          }),
        ),
      })
      const { reports } = await withClient((client) => client.call(schema, 'GET', '/api/v1/transparency/reports'))
      if (options.json === true) return printJson(reports)
      const rows = reports.map((one) => [
        String(one.reportId),
        `${one.from} to ${one.to}`,
        time(one.madeAtMs),
        one.madeBy ?? 'by policy',
      ])
      process.stdout.write(table(['report', 'period', 'published', 'by'], rows))
    })

  transparency
    .command('verify')
    .description('check a report that somebody has downloaded: manifest.json, report.json, report.csv and index.html')
    .argument('<folder>')
    .requiredOption('--key <file>', 'public key of the agency’s audit (keys/audit-signing.public.pem)')
    .option('--json', 'one JSON document')
    .action(async (folder: string, options: { key: string; json?: boolean }) => {
      const { EXIT } = await import('../../shared/errors.ts')
      const { verifyReport } = await import('../../cloud/transparency/verify.ts')
      const { readText } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { join } = await import('node:path')
      const verdict = verifyReport((name) => readText(join(folder, name)), readText(options.key))
      if (!verdict.ok) process.exitCode = EXIT.failed
      if (options.json === true) return printJson(verdict)
      process.stdout.write(
        verdict.ok
          ? `Report ${verdict.manifest.reportId} of ${verdict.manifest.agency} is whole; the audit had ${verdict.manifest.audit.entries} entries, root ${verdict.manifest.audit.root}.\n`
          : `THE REPORT DOES NOT VERIFY: ${verdict.problem}.\n`,
      )
    })
}
