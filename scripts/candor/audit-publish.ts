/** `candor audit publish|export|prove`: what an agency hands to outsiders, made on its server or of copies. */
import type { Command } from 'commander'
import { usageError, wholeNumber } from './options.ts'

interface FileOptions {
  config?: string
  database?: string
  head?: string
  key?: string
}

function withFiles(command: Command): Command {
  return command
    .option('--config <file>', 'configuration file of the cloud, on its server')
    .option('--database <file>', 'a copy of the database')
    .option('--head <file>', 'a copy of the signed head')
    .option('--key <file>', 'public key of the audit (keys/audit-signing.public.pem)')
}

/** The files of a log by the cloud's configuration, or each by its own name. */
export async function logFiles(
  options: FileOptions,
): Promise<{ database: string; head: string; publicKeyPem: string }> {
  const { readText } = await import('./client.ts')
  if (options.config !== undefined) {
    const { join } = await import('node:path')
    const { loadConfig } = await import('../../shared/config.ts')
    const { cloudConfigSchema, cloudPaths, configBase } = await import('../../cloud/config.ts')
    const { KEY_FILES } = await import('../../cloud/keys.ts')
    const paths = cloudPaths(loadConfig(options.config, cloudConfigSchema), configBase(options.config))
    return {
      database: options.database ?? paths.databaseFile,
      head: options.head ?? paths.auditHeadFile,
      publicKeyPem: readText(options.key ?? join(paths.keysFolder, KEY_FILES.auditPublic)),
    }
  }
  const { database, head, key } = options
  if (database === undefined || head === undefined || key === undefined) {
    throw usageError('say which log: --config cloud.json, or --database FILE --head FILE --key PUBLIC.pem')
  }
  return { database, head, publicKeyPem: readText(key) }
}

/** Entries that leave the server are in the audit themselves; what is made of copies is not the cloud's to write down. */
async function noteTaken(options: FileOptions, operation: string): Promise<void> {
  const { config } = options
  if (config === undefined || options.database !== undefined) return
  const { onHost } = await import('./host.ts')
  await onHost(config, (host) => host.noteAuditTaken(operation))
}

async function withSource<T>(
  options: FileOptions,
  work: (source: import('../../cloud/audit/source.ts').LogSource) => Promise<T>,
): Promise<T> {
  const { openSource } = await import('../../cloud/audit/source.ts')
  const source = await openSource(await logFiles(options))
  try {
    return await work(source)
  } finally {
    source.close()
  }
}

async function verifierProgram(): Promise<Buffer | null> {
  const { readFile } = await import('node:fs/promises')
  const { VERIFIER_FILE } = await import('../../cloud/web/pages.ts')
  const program = await readFile(VERIFIER_FILE).catch(() => null)
  if (program === null) process.stderr.write('verify.mjs is not built and left out: run ./scripts/setup\n')
  return program
}

export function registerPublish(audit: Command): void {
  withFiles(audit.command('publish'))
    .description(
      'write checkpoint and tiles as files for a web server, only what is new; hashes alone unless asked for more',
    )
    .requiredOption('--out <folder>', 'where they lie')
    .option('--entries', 'the entries too, for an auditor\u2019s own copy: they name accounts, cases and reasons')
    .option('--json', 'one JSON document')
    .action(async (options: FileOptions & { out: string; entries?: boolean; json?: boolean }) => {
      const { publishLog } = await import('../../cloud/audit/publish.ts')
      const { printJson } = await import('./terminal.ts')
      const entries = options.entries === true
      if (entries) await noteTaken(options, 'audit.published')
      const verifier = await verifierProgram()
      const done = await withSource(options, (source) => publishLog({ source, folder: options.out, entries, verifier }))
      if (options.json === true) return printJson(done)
      process.stdout.write(`${options.out}: ${done.size} entries, ${done.before} of them before; ${done.files} files\n`)
    })

  withFiles(audit.command('export'))
    .description(
      'write the whole log into one file for an auditor, who checks it with `audit verify FILE` or verify.mjs beside it',
    )
    .requiredOption('--out <file>', 'must not be there yet')
    .option('--json', 'one JSON document')
    .action(async (options: FileOptions & { out: string; json?: boolean }) => {
      const { dirname, join } = await import('node:path')
      const { writeFile } = await import('node:fs/promises')
      const { exportLog } = await import('../../cloud/audit/publish.ts')
      const { printJson } = await import('./terminal.ts')
      await noteTaken(options, 'audit.exported')
      const done = await withSource(options, (source) => exportLog(source, options.out))
      const verifier = await verifierProgram()
      const beside = join(dirname(options.out), 'verify.mjs')
      if (verifier !== null) await writeFile(beside, verifier)
      if (options.json === true) return printJson({ ...done, file: options.out })
      process.stdout.write(`${options.out}: ${done.entries} entries\n`)
    })

  withFiles(audit.command('prove'))
    .description(
      'write the proof that an entry is in the log, with the entry (c2sp.org/tlog-proof); verify.mjs --proof checks it',
    )
    .argument('<number>', 'number of the entry', wholeNumber(1))
    .option('--out <file>', 'where to; else to the terminal')
    .action(async (seq: number, options: FileOptions & { out?: string }) => {
      const local = options.config ?? options.database ?? options.head
      const proof = local === undefined ? await remoteProof(seq) : await localProof(seq, options)
      if (options.out === undefined) process.stdout.write(proof)
      else {
        const { writeFile } = await import('node:fs/promises')
        await writeFile(options.out, proof, { mode: 0o600 })
      }
    })
}

async function remoteProof(seq: number): Promise<string> {
  const { z } = await import('zod')
  const { withClient } = await import('./client.ts')
  const path = `/api/v1/audit/entries/${seq}/proof`
  return (await withClient((client) => client.call(z.object({ proof: z.string() }), 'GET', path))).proof
}

async function localProof(seq: number, options: FileOptions): Promise<string> {
  const { proveEntry } = await import('../../cloud/audit/publish.ts')
  await noteTaken(options, 'audit.proven')
  return withSource(options, (source) => proveEntry(source, seq))
}
