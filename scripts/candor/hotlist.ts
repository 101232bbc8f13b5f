/** `candor hotlist`: import, approve, status, rollback, diff, and the key of what cameras hold; mappings are in hotlist-mapping.ts. */
import { type Command, Option } from 'commander'
import { LIST_RULES, registerEntries, SOURCES } from './hotlist-entry.ts'
import { registerMapping } from './hotlist-mapping.ts'
import { positiveNumber, wholeNumber } from './options.ts'

interface ImportOptions {
  list: string
  mapping?: string
  match?: string
  source?: string
  priority?: number
  acceptCloudOnly?: boolean
  groups?: string
  maxAge?: number
  dryRun?: boolean
  skipBad?: boolean
  allowEmpty?: boolean
  json?: boolean
}

export function register(program: Command): void {
  const hotlist = program.command('hotlist').description('lists of wanted plates')
  registerMapping(hotlist)

  hotlist
    .command('import')
    .description('import a delimited file as a new version of a list; all rows or none')
    .argument(
      '<file>',
      'with a header row (plate, jurisdiction, category, priority, reason, case, effective, expires, match, or codes of NCIC), or as a mapping says',
    )
    .requiredOption('--list <name>', 'name of the list; made when new')
    .option('--mapping <name>', 'how the file is read, from this import on; none: by its header row')
    .addOption(new Option('--match <rule>', 'default of the list for rows that do not say').choices(LIST_RULES))
    .addOption(new Option('--source <source>', 'where the list comes from').choices(SOURCES))
    .option('--priority <n>', 'of rows that do not say, 1 (most urgent) to 5', wholeNumber(1, 5))
    .option('--groups <names>', 'groups that its alerts go to, comma-separated (default of a new list: patrol)')
    .option('--max-age <hours>', 'the list counts as stale when older', positiveNumber)
    .option('--dry-run', 'check the file and change nothing')
    .option('--skip-bad', 'apply the good rows although there are bad ones')
    .option('--allow-empty', 'take a file without entries, which ends all matching of the list')
    .option(
      '--accept-cloud-only',
      'take patterns although cameras send only their matches, and so never what a pattern means',
    )
    .option('--json', 'one JSON document')
    .action(async (file: string, options: ImportOptions) => {
      const { readFile } = await import('node:fs/promises')
      const { EXIT } = await import('../../shared/errors.ts')
      const { systemClock } = await import('../../shared/clock.ts')
      const { unreadable, withClient } = await import('./client.ts')
      const { importFile } = await import('./hotlist-import.ts')
      const { describeReport } = await import('./hotlist-report.ts')
      const { createProgress } = await import('./progress.ts')
      const { printable, printJson } = await import('./terminal.ts')
      const csv = await readFile(file).catch((thrown: unknown) => {
        throw unreadable(file, thrown)
      })
      const query = new URLSearchParams()
      if (options.mapping !== undefined) query.set('mapping', options.mapping)
      if (options.match !== undefined) query.set('match', options.match)
      if (options.source !== undefined) query.set('source', options.source)
      if (options.priority !== undefined) query.set('priority', String(options.priority))
      if (options.groups !== undefined) query.set('groups', options.groups)
      if (options.maxAge !== undefined) query.set('maxAgeMs', String(Math.round(options.maxAge * 3_600_000)))
      for (const name of ['dryRun', 'skipBad', 'allowEmpty', 'acceptCloudOnly'] as const)
        if (options[name] === true) query.set(name, 'true')
      const progress = createProgress(process.stderr, systemClock)
      const report = await withClient((client) => importFile(client, options.list, query, csv, progress))
      for (const warning of report.warnings) process.stderr.write(`warning: ${printable(warning)}\n`)
      if (options.json === true) printJson(report)
      else process.stdout.write(describeReport(report, commandOf(file, options), options.dryRun === true))
      if (!report.applied && !(options.dryRun === true && report.bad === 0 && !report.unusable))
        process.exitCode = EXIT.failed
    })

  hotlist
    .command('status')
    .description('lists with versions, entries and ages, and which camera has which version')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { age, printJson, table } = await import('./terminal.ts')
      const schema = z.object({
        hotlists: z.array(
          z.object({
            list: z.string(),
            version: z.int().nullable(),
            entries: z.int(),
            ageMs: z.int().nullable(),
            stale: z.boolean(),
            rule: z.string(),
            source: z.string(),
            priority: z.int(),
            cloudEntries: z.int(),
            effectiveAtMs: z.int().nullable(),
            expiresAtMs: z.int().nullable(),
            groups: z.array(z.string()),
            maxAgeMs: z.int(),
            pending: z.array(
              z.object({
                version: z.int(),
                entries: z.int(),
                madeBy: z.string(),
                difference: z.object({
                  added: z.int(),
                  unchanged: z.int(),
                  changed: z.int(),
                  removed: z.int(),
                  ended: z.int(),
                }),
                settings: z.record(z.string(), z.unknown()),
              }),
            ),
            versions: z.array(
              z.object({
                version: z.int(),
                entries: z.int(),
                madeAtMs: z.int(),
                madeBy: z.string(),
                kept: z.boolean(),
              }),
            ),
          }),
        ),
        cameras: z.array(
          z.object({
            camera: z.string(),
            list: z.string(),
            version: z.int(),
            result: z.string(),
            reason: z.string().nullable(),
            atMs: z.int(),
          }),
        ),
      })
      const status = await withClient((client) => client.call(schema, 'GET', '/api/v1/hotlists'))
      if (options.json === true) return printJson(status)
      const lists = status.hotlists.map((one) => [
        one.list,
        one.version === null ? 'none' : String(one.version),
        String(one.entries),
        `${one.ageMs === null ? '' : age(one.ageMs)}${one.stale ? ' STALE' : ''}`,
        one.source,
        one.rule,
        String(one.priority),
        one.groups.join(','),
        one.versions
          .filter((version) => version.kept)
          .map((version) => version.version)
          .join(' '),
      ])
      process.stdout.write(
        table(['list', 'version', 'entries', 'age', 'source', 'match', 'priority', 'groups', 'kept'], lists),
      )
      for (const { list, pending } of status.hotlists) {
        for (const { version, entries, madeBy, difference, settings } of pending) {
          process.stdout.write(
            `\n${list}: version ${version} with ${entries} entries, imported by ${madeBy}, waits for a second person: ${difference.removed + difference.ended} would go, ${difference.added} come${Object.keys(settings).length === 0 ? '' : `, with ${JSON.stringify(settings)}`}.\n` +
              `  candor hotlist diff ${list} --from ${status.hotlists.find((one) => one.list === list)?.version} --to ${version}; candor hotlist approve ${list} --version ${version}\n`,
          )
        }
      }
      if (status.cameras.length === 0) return
      const nowMs = Date.now()
      const since = (atMs: number | undefined) => (atMs === undefined ? '' : age(Math.max(0, nowMs - atMs)))
      const cameras = status.cameras.map((one) => {
        const list = status.hotlists.find(({ list }) => list === one.list)
        const made = list?.versions.find(({ version }) => version === one.version)
        const isBehind = list?.version !== null && list?.version !== one.version
        return [
          ...[one.camera, one.list, `${one.version}${isBehind ? ` of ${list?.version ?? '?'}` : ''}`],
          ...[since(made?.madeAtMs), one.result, `${since(one.atMs)} ago`, one.reason ?? ''],
        ]
      })
      const columns = ['camera', 'list', 'version', 'age', 'result', 'said', 'reason']
      process.stdout.write(`\n${table(columns, cameras)}`)
    })

  hotlist
    .command('rollback')
    .description('bring the entries of an older version back, as a new version')
    .argument('<list>')
    .option('--to <version>', 'default: the one before', wholeNumber(1))
    .option('--allow-empty', 'also to a version without entries, which ends all matching of the list')
    .action(async (list: string, options: { to?: number; allowEmpty?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const done = await withClient((client) =>
        client.call(
          z.object({ version: z.int(), entries: z.int(), prohibited: z.int() }),
          'POST',
          `/api/v1/hotlists/${encodeURIComponent(list)}/rollback`,
          { json: { version: options.to ?? null, allowEmpty: options.allowEmpty === true } },
        ),
      )
      const dropped = done.prohibited === 0 ? '' : `; ${done.prohibited} of a prohibited category left out`
      process.stdout.write(`${list} is at version ${done.version} with ${done.entries} entries${dropped}.\n`)
    })

  for (const [verb, description, done] of [
    [
      'approve',
      'bring a version that would take away most of its list into force; not for who imported it',
      'is in force',
    ],
    ['reject', 'drop a version that waits for a second person', 'is dropped'],
  ] as const) {
    hotlist
      .command(verb)
      .description(description)
      .argument('<list>')
      .requiredOption('--version <n>', 'as `candor hotlist status` shows it', wholeNumber(1))
      .action(async (list: string, { version }: { version: number }) => {
        const { z } = await import('zod')
        const { withClient } = await import('./client.ts')
        const path = `/api/v1/hotlists/${encodeURIComponent(list)}/pending/${version}/${verb}`
        await withClient((client) => client.call(z.object({ version: z.int() }), 'POST', path, { json: {} }))
        process.stdout.write(`Version ${version} of ${list} ${done}.\n`)
      })
  }

  hotlist
    .command('replace-key')
    .description(
      'a new key for the plates on cameras and a new version of every list: after a unit was stolen and revoked',
    )
    .requiredOption('--reason <text>', 'kept in the audit')
    .action(async ({ reason }: { reason: string }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const done = await withClient((client) =>
        client.call(z.object({ lists: z.int() }), 'POST', '/api/v1/hotlist-key', { json: { reason } }),
      )
      process.stdout.write(`The key is replaced; ${done.lists} lists have a new version.\n`)
    })

  const signingKey = async (method: 'GET' | 'POST', json?: object) => {
    const { z } = await import('zod')
    const { withClient } = await import('./client.ts')
    const schema = z.object({
      version: z.int(),
      keyId: z.string(),
      rotating: z.boolean(),
      waitingFor: z.array(z.string()),
    })
    return withClient((client) =>
      client.call(schema, method, '/api/v1/signing-key', json === undefined ? {} : { json }),
    )
  }
  const describeKey = ({ version, keyId, rotating, waitingFor }: Awaited<ReturnType<typeof signingKey>>) =>
    `Version ${version}: ${keyId} signs${rotating ? '; the key before it is still trusted' : ''}.\n` +
    (waitingFor.length === 0 ? '' : `Not followed yet: ${waitingFor.join(', ')}\n`)

  hotlist
    .command('signing-key')
    .description('the key that signs lists and policy, and the cameras that have not followed to it')
    .option('--json', 'one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const { printJson } = await import('./terminal.ts')
      const state = await signingKey('GET')
      if (json === true) printJson(state)
      else process.stdout.write(describeKey(state))
    })

  hotlist
    .command('rotate-signing-key')
    .description('a new key for the signatures of lists, policy and commands; cameras follow by themselves')
    .requiredOption('--reason <text>', 'kept in the audit')
    .option('--retire-now', 'trust the key of before no longer, although cameras have not followed yet')
    .option('--json', 'one JSON document')
    .action(async ({ reason, retireNow, json }: { reason: string; retireNow?: boolean; json?: boolean }) => {
      const { printJson } = await import('./terminal.ts')
      const state = await signingKey('POST', { reason, retireNow: retireNow === true })
      if (json === true) printJson(state)
      else process.stdout.write(describeKey(state))
    })

  hotlist
    .command('diff')
    .description('what came and went between two kept versions')
    .argument('<list>')
    .requiredOption('--from <version>', 'the older one', wholeNumber(1))
    .requiredOption('--to <version>', 'the newer one', wholeNumber(1))
    .option('--json', 'one JSON document')
    .action(async (list: string, options: { from: number; to: number; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const entries = z.array(
        z.object({ plate: z.string(), jurisdiction: z.string().nullable(), caseNumber: z.string().nullable() }),
      )
      const schema = z.object({ added: z.int(), removed: z.int(), addedEntries: entries, removedEntries: entries })
      const query = new URLSearchParams({ from: String(options.from), to: String(options.to) })
      const diff = await withClient((client) =>
        client.call(schema, 'GET', `/api/v1/hotlists/${encodeURIComponent(list)}/diff?${query}`),
      )
      if (options.json === true) return printJson(diff)
      for (const [sign, side] of [
        ['-', diff.removedEntries],
        ['+', diff.addedEntries],
      ] as const) {
        for (const one of side) {
          process.stdout.write(
            `${sign} ${[one.plate, one.jurisdiction ?? '', one.caseNumber ?? ''].join(' ').trimEnd()}\n`,
          )
        }
      }
      process.stdout.write(`${diff.added} added, ${diff.removed} removed.\n`)
    })

  registerEntries(hotlist)
}

/** What was called, without the dry run: for who has seen the report. */
function commandOf(file: string, options: ImportOptions): string[] {
  return [
    ...['candor', 'hotlist', 'import', file, '--list', options.list],
    ...(options.mapping === undefined ? [] : ['--mapping', options.mapping]),
    ...(options.match === undefined ? [] : ['--match', options.match]),
    ...(options.source === undefined ? [] : ['--source', options.source]),
    ...(options.priority === undefined ? [] : ['--priority', String(options.priority)]),
    ...(options.groups === undefined ? [] : ['--groups', options.groups]),
    ...(options.maxAge === undefined ? [] : ['--max-age', String(options.maxAge)]),
    ...(options.skipBad === true ? ['--skip-bad'] : []),
    ...(options.allowEmpty === true ? ['--allow-empty'] : []),
    ...(options.acceptCloudOnly === true ? ['--accept-cloud-only'] : []),
  ]
}
