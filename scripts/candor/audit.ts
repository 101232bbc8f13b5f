/** `candor audit`: read it, prove that it is whole, and let outsiders do the same. */
import type { Command } from 'commander'
import type { Verdict } from '../../cloud/audit/check.ts'
import type { AuditEntry } from '../../cloud/audit/entry.ts'
import { logFiles, registerPublish } from './audit-publish.ts'
import { registerWitness } from './audit-witness.ts'
import { collect, timeAt, usageError, wholeNumber } from './options.ts'

export function register(program: Command): void {
  const audit = program.command('audit').description('the record of who did what')

  audit
    .command('list')
    .description('entries, newest first')
    .option('--limit <count>', 'entries of one page, at most 500', wholeNumber(1, 500), 50)
    .option('--before <number>', 'entries with a smaller number', wholeNumber(1))
    .option('--operation <name>', 'this operation, or those below it: search, search.run')
    .option('--account <name>', 'of this account')
    .option('--from <time>', 'not older, such as 2026-01-31 or 2026-01-31T08:00:00Z', timeAt('start'))
    .option('--to <time>', 'older than this', timeAt('end'))
    .option('--config <file>', 'on the server itself: configuration file of the cloud, instead of a session')
    .option('--json', 'one JSON line an entry')
    .action(async (options: ListOptions) => {
      const { z } = await import('zod')
      const { entrySchema } = await import('../../cloud/audit/entry.ts')
      const { limit, before = null } = options
      const filter = { operation: options.operation, account: options.account, fromMs: options.from, toMs: options.to }
      const given = Object.entries(filter).filter(([, value]) => value !== undefined)
      const remote = async () => {
        const { withClient } = await import('./client.ts')
        const schema = z.object({ entries: z.array(entrySchema), continueBefore: z.int().nullable() })
        return withClient(async (client) => {
          const found: AuditEntry[] = []
          // A filtered page may be empty and yet not the last one.
          for (let next = before; ; ) {
            const query = new URLSearchParams()
            for (const [name, value] of given) query.set(name, String(value))
            query.set('limit', String(limit - found.length))
            if (next !== null) query.set('before', String(next))
            const page = await client.call(schema, 'GET', `/api/v1/audit?${query}`)
            found.push(...page.entries)
            if (page.continueBefore === null || found.length >= limit) return found
            next = page.continueBefore
          }
        })
      }
      const local = async (config: string) => {
        if (given.length > 0) throw usageError('filters need a session: leave --config out')
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
    .description(
      'check every entry, the tree over them and what was signed; works on copies, without the cloud and without an account',
    )
    .argument('[copy]', 'an exported file, a folder of published tiles, or the address of one')
    .option('--config <file>', 'configuration file of the cloud, on its server')
    .option('--database <file>', 'a copy of the database')
    .option('--head <file>', 'a copy of the signed head')
    .option('--key <key>', 'key of the audit: a verifier key, or a file with one or with keys/audit-signing.public.pem')
    .option('--since <file>', 'a checkpoint, export or folder of tiles kept from before; may be repeated', collect, [])
    .option('--witness <key>', 'verifier key of a witness that must have cosigned a copy; may be repeated', collect, [])
    .option('--ca <file>', 'authority of the server\u2019s certificate, if no public one')
    .option('--json', 'one JSON document')
    .action(async (copy: string | undefined, options: VerifyOptions) => {
      const { EXIT } = await import('../../shared/errors.ts')
      const { verdictText } = await import('./audit-verdict.ts')
      const { printJson } = await import('./terminal.ts')
      const verdict = await (copy === undefined ? verifyDatabase(options) : verifyTheCopy(copy, options))
      if (options.json === true) printJson(verdict)
      else process.stdout.write(verdictText(verdict))
      if (!verdict.ok) process.exitCode = EXIT.failed
    })

  registerPublish(audit)
  registerWitness(audit)
}

interface ListOptions {
  limit: number
  before?: number
  operation?: string
  account?: string
  from?: number
  to?: number
  config?: string
  json?: boolean
}

interface VerifyOptions {
  config?: string
  database?: string
  head?: string
  key?: string
  since: string[]
  witness: string[]
  ca?: string
  json?: boolean
}

async function verifyDatabase(options: VerifyOptions): Promise<Verdict> {
  const { verifyAudit } = await import('../../cloud/audit/verify.ts')
  const { readEarlier } = await import('../../cloud/audit/copies.ts')
  const { openHead } = await import('../../cloud/audit/head.ts')
  const { logKey, originOf } = await import('../../cloud/audit/note.ts')
  const { readText } = await import('./client.ts')
  if (options.witness.length > 0) throw usageError('--witness is about a copy: an export or published tiles')
  const { database, head, publicKeyPem } = await logFiles(options)
  const earlier = []
  if (options.since.length > 0) {
    const { agency } = openHead(readText(head), publicKeyPem, head)
    for (const path of options.since) earlier.push(await readEarlier(path, logKey(originOf(agency), publicKeyPem)))
  }
  return verifyAudit({ database, head, publicKeyPem, earlier })
}

async function verifyTheCopy(where: string, options: VerifyOptions): Promise<Verdict> {
  const { checkpointOrigin, verifyCopy } = await import('../../cloud/audit/copies.ts')
  const { readGiven, readLogKey, readVerifierKey } = await import('./audit-verdict.ts')
  if (options.config !== undefined || options.database !== undefined || options.head !== undefined)
    throw usageError('a copy is checked by itself: leave --config, --database and --head out')
  const caPem = options.ca === undefined ? null : readGiven(options.ca)
  const key = options.key === undefined ? null : readLogKey(options.key, await checkpointOrigin(where, caPem))
  return verifyCopy({ where, key, since: options.since, witnesses: options.witness.map(readVerifierKey), caPem })
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
