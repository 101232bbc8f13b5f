/** `candor hotlist set` and `candor hotlist entry`: what is known of a list, and single plates that people put on one. */
import { type Command, Option } from 'commander'
import { positiveNumber, timeAt, usageError, wholeNumber } from './options.ts'

export const LIST_RULES = ['exact', 'near', 'wildcard']
export const SOURCES = ['ncic', 'state', 'amber', 'local', 'partner']

/** In the place of a time: no bound. */
const ALWAYS = 'always'

interface SetOptions {
  source?: string
  priority?: number
  match?: string
  groups?: string
  maxAge?: number
  effective?: number | typeof ALWAYS
  expires?: number | typeof ALWAYS
}

interface AddOptions {
  list: string
  reason: string
  case: string
  expires?: number
  hours?: number
  endOfShift?: boolean
  acceptCloudOnly?: boolean
  jurisdiction?: string
  category: string
  priority?: number
  match?: string
  json?: boolean
}

export function registerEntries(hotlist: Command): void {
  const timeOrAlways = (edge: 'start' | 'end') => (text: string) => (text === ALWAYS ? text : timeAt(edge)(text))

  hotlist
    .command('set')
    .description(
      'change what is known of a list: source, groups, priority and rule of rows that do not say, dates, age limit',
    )
    .argument('<list>')
    .addOption(new Option('--source <source>', 'where it comes from').choices(SOURCES))
    .option(
      '--priority <n>',
      'of rows that do not say, 1 (most urgent) to 5; from the next import on',
      wholeNumber(1, 5),
    )
    .addOption(new Option('--match <rule>', 'of rows that do not say; from the next import on').choices(LIST_RULES))
    .option('--groups <names>', 'groups that its alerts go to, comma-separated')
    .option('--max-age <hours>', 'the list counts as stale when older; from the next import on', positiveNumber)
    .option('--effective <time>', 'the list matches from then on; `always` takes it back', timeOrAlways('start'))
    .option('--expires <time>', 'and before that; `always` takes it back', timeOrAlways('end'))
    .action(async (list: string, options: SetOptions) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const json = {
        source: options.source,
        priority: options.priority,
        rule: options.match,
        groups: options.groups?.split(',').map((group) => group.trim()),
        maxAgeMs: options.maxAge === undefined ? undefined : Math.round(options.maxAge * 3_600_000),
        effectiveAtMs: options.effective === ALWAYS ? null : options.effective,
        expiresAtMs: options.expires === ALWAYS ? null : options.expires,
      }
      if (Object.values(json).every((value) => value === undefined)) throw usageError('nothing to change; add --help')
      const path = `/api/v1/hotlists/${encodeURIComponent(list)}`
      await withClient((client) => client.call(z.looseObject({}), 'PATCH', path, { json }))
      process.stdout.write(`${list} is changed.\n`)
    })

  const entry = hotlist.command('entry').description('single plates that people put on lists of their own')

  entry
    .command('add')
    .description('put a plate on a list, with a reason, a case number and an end; it may wait for a second person')
    .argument('<plate>', 'with --match wildcard: a pattern with * and ?')
    .requiredOption('--list <name>', 'a list of such entries; made when new')
    .requiredOption('--reason <text>', 'why')
    .requiredOption('--case <number>', 'case number')
    .option('--expires <time>', 'when it ends: a date or a time with its zone', timeAt('end'))
    .option('--hours <n>', 'or after so many hours', positiveNumber)
    .option('--end-of-shift', 'or with the shift, as the policy has them')
    .option('--jurisdiction <code>', 'state or country, such as US-CA')
    .option('--category <text>', 'what it is wanted for', '')
    .option('--priority <n>', '1 (most urgent) to 5', wholeNumber(1, 5))
    .addOption(new Option('--match <rule>', 'default: the list’s').choices(LIST_RULES))
    .option('--accept-cloud-only', 'take a pattern although cameras send only their matches')
    .option('--json', 'one JSON document')
    .action(async (plate: string, options: AddOptions) => {
      const { withClient } = await import('./client.ts')
      const { printJson, time } = await import('./terminal.ts')
      const ends = [options.expires, options.hours, options.endOfShift].filter((one) => one !== undefined)
      if (ends.length !== 1) throw usageError('say when it ends: one of --expires, --hours and --end-of-shift')
      const inHours = (hours: number) => Date.now() + Math.round(hours * 3_600_000)
      const expires = options.expires ?? (options.hours === undefined ? 'end-of-shift' : inHours(options.hours))
      const schema = await entrySchema()
      const made = await withClient((client) =>
        client.call(schema, 'POST', `/api/v1/hotlists/${encodeURIComponent(options.list)}/entries`, {
          json: {
            plate,
            reason: options.reason,
            caseNumber: options.case,
            expires,
            jurisdiction: options.jurisdiction?.toUpperCase() ?? null,
            category: options.category,
            priority: options.priority ?? null,
            rule: options.match ?? null,
            acceptCloudOnly: options.acceptCloudOnly === true,
          },
        }),
      )
      if (options.json === true) return printJson(made)
      process.stdout.write(
        made.state === 'waiting'
          ? `Entry ${made.entryId} of ${made.list} waits for a second person:\n  candor hotlist entry approve ${made.entryId} --list ${made.list}\n`
          : `Entry ${made.entryId} ${made.state === 'in_force' ? 'is on' : 'comes, when the list that is being changed is done, onto'} ${made.list} until ${time(made.expiresAtMs)}.\n`,
      )
    })

  entry
    .command('list')
    .description('entries made by hand, newest first')
    .option('--list <name>', 'of this list alone')
    .option('--over', 'also those that are over and not yet forgotten')
    .option('--json', 'one JSON document')
    .action(async (options: { list?: string; over?: boolean; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const query = new URLSearchParams(options.list === undefined ? {} : { list: options.list })
      if (options.over === true) query.set('over', 'true')
      const schema = z.object({ entries: z.array(await entrySchema()) })
      const { entries } = await withClient((client) => client.call(schema, 'GET', `/api/v1/list-entries?${query}`))
      if (options.json === true) return printJson(entries)
      const rows = entries.map((one) => [
        one.entryId,
        one.list,
        one.state,
        `${one.plate} ${one.jurisdiction ?? ''}`.trimEnd(),
        one.caseNumber,
        time(one.expiresAtMs),
        one.madeBy,
        one.reason,
      ])
      process.stdout.write(table(['entry', 'list', 'state', 'plate', 'case', 'until', 'made by', 'reason'], rows))
    })

  for (const [verb, description, done] of [
    ['approve', 'bring a waiting entry into force; not for who made it', 'is in force'],
    ['reject', 'drop a waiting entry', 'is dropped'],
    ['end', 'take an entry off its list before its time', 'is off the list'],
  ] as const) {
    entry
      .command(verb)
      .description(description)
      .argument('<entry>', 'as `candor hotlist entry list` shows it')
      .requiredOption('--list <name>', 'its list')
      .action(async (id: string, { list }: { list: string }) => {
        const { withClient } = await import('./client.ts')
        const path = `/api/v1/hotlists/${encodeURIComponent(list)}/entries/${encodeURIComponent(id)}/${verb}`
        const schema = await entrySchema()
        await withClient((client) => client.call(schema, 'POST', path, { json: {} }))
        process.stdout.write(`Entry ${id} ${done}.\n`)
      })
  }
}

async function entrySchema() {
  const { z } = await import('zod')
  return z.object({
    entryId: z.string(),
    list: z.string(),
    state: z.string(),
    plate: z.string(),
    jurisdiction: z.string().nullable(),
    caseNumber: z.string(),
    reason: z.string(),
    madeBy: z.string(),
    expiresAtMs: z.int(),
  })
}
