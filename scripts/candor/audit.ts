/** `candor audit`: read it, and prove that it is whole. */
import type { Command } from 'commander'
import { usageError, wholeNumber } from './options.ts'

export function register(program: Command): void {
  const audit = program.command('audit').description('the record of who did what')

  audit
    .command('list')
    .description('entries, newest first')
    .option('--limit <count>', 'entries of one page, at most 500', wholeNumber(1, 500), 50)
    .option('--before <number>', 'entries with a smaller number', wholeNumber(1))
    .option('--config <file>', 'on the server itself: configuration file of the cloud, instead of a session')
    .option('--json', 'one JSON line an entry')
    .action(async (options: { limit: number; before?: number; config?: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { entrySchema } = await import('../../cloud/audit/entry.ts')
      const { limit, before = null } = options
      const remote = async () => {
        const { withClient } = await import('./client.ts')
        const query = new URLSearchParams({
          limit: String(limit),
          ...(before === null ? {} : { before: String(before) }),
        })
        const schema = z.object({ entries: z.array(entrySchema) })
        return (await withClient((client) => client.call(schema, 'GET', `/api/v1/audit?${query}`))).entries
      }
      const local = async (config: string) => {
        const { onHost } = await import('./host.ts')
        return onHost(config, (host) => host.listAudit({ before, limit }))
      }
      const entries = await (options.config === undefined ? remote() : local(options.config))
      for (const entry of entries) {
        process.stdout.write(options.json === true ? `${JSON.stringify(entry)}\n` : `${describeEntry(entry)}\n`)
      }
    })

  audit
    .command('searched')
    .description('was exactly this plate searched? For whoever asks about their own; the question is audited')
    .argument('<plate>')
    .option('--reason <text>', 'whose request it is', '')
    .option('--json', 'one JSON document')
    .action(async (plate: string, options: { reason: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { entrySchema } = await import('../../cloud/audit/entry.ts')
      const { withClient } = await import('./client.ts')
      const { printable, printJson } = await import('./terminal.ts')
      const schema = z.object({ auditSeq: z.int(), total: z.int(), entries: z.array(entrySchema) })
      const json = { plate, reason: options.reason }
      const answer = await withClient((client) => client.call(schema, 'POST', '/api/v1/audit/searched', { json }))
      if (options.json === true) return printJson(answer)
      const { total, entries, auditSeq } = answer
      for (const entry of entries) process.stdout.write(`${printable(describeEntry(entry))}\n`)
      const more = total > entries.length ? ` (the newest ${entries.length} are shown)` : ''
      process.stdout.write(
        `${total} searches for exactly this plate${more}. Searches by a pattern, or for a plate that looks like it, may have found it too and cannot be told apart. Audit entry ${auditSeq}.\n`,
      )
    })

  audit
    .command('verify')
    .description('check every entry and the signed head; works on copies of the files, without the cloud')
    .option('--config <file>', 'configuration file of the cloud, on its server')
    .option('--database <file>', 'a copy of the database')
    .option('--head <file>', 'a copy of the signed head')
    .option('--key <file>', 'public key of the audit (keys/audit-signing.public.pem)')
    .option('--json', 'one JSON document')
    .action(async (options: { config?: string; database?: string; head?: string; key?: string; json?: boolean }) => {
      const { EXIT } = await import('../../shared/errors.ts')
      const { verifyAudit } = await import('../../cloud/audit/verify.ts')
      const { readText } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const files = async () => {
        if (options.config !== undefined) {
          const { join } = await import('node:path')
          const { loadConfig } = await import('../../shared/config.ts')
          const { cloudConfigSchema, cloudPaths, configBase } = await import('../../cloud/config.ts')
          const { KEY_FILES } = await import('../../cloud/keys.ts')
          const paths = cloudPaths(loadConfig(options.config, cloudConfigSchema), configBase(options.config))
          return {
            database: options.database ?? paths.databaseFile,
            head: options.head ?? paths.auditHeadFile,
            key: options.key ?? join(paths.keysFolder, KEY_FILES.auditPublic),
          }
        }
        const { database, head, key } = options
        if (database === undefined || head === undefined || key === undefined) {
          throw usageError('say what to verify: --config cloud.json, or --database FILE --head FILE --key PUBLIC.pem')
        }
        return { database, head, key }
      }
      const { database, head, key } = await files()
      const verdict = await verifyAudit({ database, head, publicKeyPem: readText(key) })
      if (options.json === true) printJson(verdict)
      else if (verdict.ok) {
        process.stdout.write(
          `The audit of ${verdict.agency} is whole: ${verdict.entries} entries, head ${verdict.headHash}.\n`,
        )
        if (verdict.note !== null) process.stdout.write(`${verdict.note}\n`)
      } else {
        const where = verdict.firstBad === null ? '' : ` First bad entry: ${verdict.firstBad}.`
        process.stdout.write(`THE AUDIT DOES NOT VERIFY: ${verdict.problem}.${where}\n`)
      }
      if (!verdict.ok) process.exitCode = EXIT.failed
    })
}

export function describeEntry(entry: {
  seq: number
  at: string
  operation: string
  outcome: string
  rule: string | null
  actor: { account: string | null; source: string | null }
  subject: { kind: string; id: string } | null
  caseNumber: string | null
  reason: string | null
  results: number | null
  completes: number | null
}): string {
  const parts = [
    String(entry.seq),
    entry.at,
    entry.actor.account ?? (entry.actor.source === null ? 'cloud' : '-'),
    entry.operation,
    entry.outcome === 'allowed' ? '' : `REFUSED (${entry.rule ?? ''})`,
    entry.subject === null ? '' : `${entry.subject.kind} ${entry.subject.id}`,
    entry.caseNumber === null ? '' : `case ${entry.caseNumber}`,
    entry.reason === null ? '' : `“${entry.reason}”`,
    entry.results === null ? '' : `${entry.results} results`,
    entry.completes === null ? '' : `of ${entry.completes}`,
    entry.actor.source === null ? '' : `from ${entry.actor.source}`,
  ]
  return parts.filter((part) => part !== '').join('  ')
}
