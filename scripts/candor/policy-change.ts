/** `candor policy set|apply|proposals|approve|reject|withdraw`: changes of the policy, by one person or by two. */
import { type Command, Option } from 'commander'
import type { Client } from './client.ts'
import { positiveNumber, usageError, wholeNumber } from './options.ts'

export const PATH = '/api/v1/policy'

interface SetOptions {
  upload?: string
  inMemory?: string
  unmatchedDays?: number
  matchedDays?: number
  cropDays?: number
  quarantineDays?: number
  holdDays?: number
  auditDays?: number | string
  prohibit?: string[]
  staleLists?: string
  secondPerson?: string
  manualHours?: number
  shifts?: string
  timeZone?: string
  endWithShift?: string
  checkPast?: number
  share?: string
  shareWith?: string[]
  grantDays?: number
  reviewDays?: number
  publishDays?: number | string
  contact?: string
  twoPeople?: string
  reason?: string
}

interface ApplyOptions {
  profile?: string
  yes?: boolean
  reason?: string
  json?: boolean
}

/** A whole number, or a word that stands for none; commander takes null for no value at all. */
const orWord = (word: string, least: number) => (text: string) => (text === word ? word : wholeNumber(least)(text))
const orNull = (value: number | string | undefined) => (typeof value === 'string' ? null : value)
const isYes = (answer: string | undefined) => (answer === undefined ? undefined : answer === 'yes')
const yesNo = (flags: string, description: string) => new Option(flags, description).choices(['yes', 'no'])

export function registerChanges(policy: Command): void {
  policy
    .command('set')
    .description('change some of it; the rest stays. Every field: `candor policy apply`')
    .addOption(new Option('--upload <what>', 'which sightings leave a camera').choices(['all', 'matches-only']))
    .addOption(yesNo('--in-memory <yes|no>', 'sightings without a match touch no disk; with --upload matches-only'))
    .option('--unmatched-days <n>', 'sightings without a match are kept so long', positiveNumber)
    .option('--matched-days <n>', 'sightings with a match, and their alerts', positiveNumber)
    .option('--crop-days <n>', 'evidence pictures', positiveNumber)
    .option('--quarantine-days <n>', 'publishes that could never be valid', positiveNumber)
    .option('--hold-days <n>', 'longest life of an evidence hold', wholeNumber(1))
    .option('--audit-days <n>', 'the record of use is kept so long, or `ever`', orWord('ever', 1))
    .option('--prohibit <category...>', 'categories dropped at import, beside immigration; replaces those named before')
    .addOption(new Option('--stale-lists <what>', 'lists past their age limit').choices(['mark', 'stop']))
    .addOption(yesNo('--second-person <yes|no>', 'for entries made by hand'))
    .option('--manual-hours <n>', 'longest life of an entry made by hand', wholeNumber(1))
    .option('--shifts <times>', 'when shifts end, such as 06:00,14:00,22:00; `none`; with --time-zone')
    .option('--time-zone <name>', 'of the shifts, such as America/Los_Angeles')
    .addOption(yesNo('--end-with-shift <yes|no>', 'entries made by hand end with the shift'))
    .option('--check-past <hours>', 'hold new entries against sightings so far back; 0: not at all', wholeNumber(0))
    .addOption(yesNo('--share <yes|no>', 'grants to other organisations may be made'))
    .option(
      '--share-with <code...>',
      'only to organisations of these, such as US-VA; replaces those named before; `any`',
    )
    .option('--grant-days <n>', 'longest life of a grant', wholeNumber(1))
    .option('--review-days <n>', 'a review covers so many days', wholeNumber(1))
    .option('--publish-days <n>', 'figures of use are published so often, or `asked`', orWord('asked', 1))
    .option('--contact <text>', 'whom to ask whether one’s own plate was searched')
    .addOption(yesNo('--two-people <yes|no>', 'a change of this policy needs a second person'))
    .option('--reason <text>', 'why, for the audit and the second person')
    .action(async (options: SetOptions) => {
      const change = toChange(options)
      if (Object.keys(change).length === 0) throw usageError('nothing to change; add --help')
      const { withClient } = await import('./client.ts')
      await withClient(async (client) => {
        const json = { version: await versionOf(client), reason: options.reason ?? null, ...change }
        process.stdout.write(await send(client, json))
      })
    })

  policy
    .command('apply')
    .description(
      'change it to a document, whole or in part, or to a profile; shows what differs, and does it with --yes',
    )
    .argument('[file]', 'JSON, as `candor policy show --json` prints it; what it leaves out stays as it is')
    .option('--profile <id>', 'one of `candor policy profiles`; a file with it is applied on top')
    .option('--yes', 'do it')
    .option('--reason <text>', 'why, for the audit and the second person')
    .option('--json', 'what differs, as one JSON document')
    .action(async (file: string | undefined, options: ApplyOptions) => {
      if (file === undefined && options.profile === undefined) throw usageError('a file or --profile is needed')
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { differencesSchema, differencesText } = await import('./policy-text.ts')
      const given = file === undefined ? {} : await readDocument(file)
      await withClient(async (client) => {
        const { version, ...rules } = given
        const json = {
          ...{ version: version ?? (await versionOf(client)), fromProfile: options.profile },
          ...{ reason: options.reason ?? null, ...rules },
        }
        const schema = z.object({ differences: differencesSchema, secondPerson: z.boolean() })
        const preview = await client.call(schema, 'POST', `${PATH}/preview`, { json })
        if (options.json === true) printJson(preview.differences)
        else process.stdout.write(differencesText(preview.differences))
        if (preview.differences.length === 0) return
        const what = preview.secondPerson ? 'proposes it to a second person' : 'puts it in force'
        if (options.yes !== true) process.stderr.write(`\nNothing is changed yet: --yes ${what}.\n`)
        else process.stderr.write(`\n${await send(client, json)}`)
      })
    })

  policy
    .command('proposals')
    .description('changes that wait for a second person, and those that are over, newest first')
    .option('--waiting', 'only those that wait')
    .option('--json', 'one JSON document')
    .action(async ({ waiting, json }: { waiting?: boolean; json?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const { proposalText } = await import('./policy-text.ts')
      const all = await withClient(proposalsOf)
      const proposals = waiting === true ? all.filter(({ state }) => state === 'waiting') : all
      if (json === true) return printJson(proposals)
      process.stdout.write(proposals.length === 0 ? 'None.\n' : proposals.map(proposalText).join('\n'))
    })

  policy
    .command('approve')
    .description('put another person’s proposal in force; shows what it changes, and does it with --yes')
    .argument('<number>', 'of `candor policy proposals`', wholeNumber(1))
    .option('--yes', 'do it')
    .action(async (number: number, { yes }: { yes?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { AppError } = await import('../../shared/errors.ts')
      const { proposalSchema, proposalText } = await import('./policy-text.ts')
      await withClient(async (client) => {
        const proposal = (await proposalsOf(client)).find((one) => one.number === number)
        if (proposal === undefined) throw new AppError('not_found', `no proposal ${number}`)
        process.stdout.write(proposalText(proposal))
        if (yes !== true) return void process.stderr.write('\nNothing is changed yet: --yes puts it in force.\n')
        await client.call(proposalSchema, 'POST', `${PATH}/proposals/${number}/approve`)
        process.stdout.write(`\nIt is in force, as version ${proposal.basisVersion + 1}.\n`)
      })
    })

  for (const [verb, description, done] of [
    ['reject', 'drop another person’s proposal', 'rejected'],
    ['withdraw', 'drop your own proposal', 'withdrawn'],
  ] as const) {
    policy
      .command(verb)
      .description(description)
      .argument('<number>', 'of `candor policy proposals`', wholeNumber(1))
      .action(async (number: number) => {
        const { withClient } = await import('./client.ts')
        const { proposalSchema } = await import('./policy-text.ts')
        await withClient((client) => client.call(proposalSchema, 'POST', `${PATH}/proposals/${number}/${verb}`))
        process.stdout.write(`Proposal ${number} is ${done}.\n`)
      })
  }
}

/** Only what was said: a section of which nothing was said stays out. */
function toChange(options: SetOptions): Record<string, unknown> {
  const isNone = options.shifts === 'none'
  if (!isNone && (options.shifts === undefined) !== (options.timeZone === undefined)) {
    throw usageError('--shifts and --time-zone belong together')
  }
  const ends = options.shifts?.split(',').map((end) => end.trim())
  const isAny = options.shareWith?.length === 1 && options.shareWith[0] === 'any'
  const sections: Record<string, unknown> = {
    upload: options.upload,
    unmatchedInMemory: isYes(options.inMemory),
    retention: {
      unmatchedDays: options.unmatchedDays,
      matchedDays: options.matchedDays,
      cropDays: options.cropDays,
      quarantineDays: options.quarantineDays,
    },
    holds: { maxDays: options.holdDays },
    audit: { days: orNull(options.auditDays) },
    hotlists: {
      prohibitedCategories: options.prohibit,
      staleLists: options.staleLists,
      manualNeedsSecondPerson: isYes(options.secondPerson),
      manualMaxHours: options.manualHours,
      shifts: isNone ? null : ends === undefined ? undefined : { timeZone: options.timeZone, ends },
      manualEndsWithShift: isYes(options.endWithShift),
      checkPastHours: options.checkPast,
    },
    sharing: {
      allowed: isYes(options.share),
      jurisdictions: isAny ? [] : options.shareWith,
      maxGrantDays: options.grantDays,
    },
    review: { everyDays: options.reviewDays },
    publication: { everyDays: orNull(options.publishDays), contact: options.contact },
    secondPerson: isYes(options.twoPeople),
  }
  const said = (value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.values(value).some((one) => one !== undefined)
      : value !== undefined
  return Object.fromEntries(Object.entries(sections).filter(([, value]) => said(value)))
}

/** What the file says, with the version that it was made from when it says so. Whose policy it is and when it was issued it cannot say. */
async function readDocument(file: string): Promise<Record<string, unknown> & { version?: unknown }> {
  const { AppError } = await import('../../shared/errors.ts')
  const { readText } = await import('./client.ts')
  let document: unknown
  try {
    document = JSON.parse(readText(file))
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError('bad_input', `${file} is not JSON`, { cause })
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new AppError('bad_input', `${file} is no policy`)
  }
  const { agency: _, issuedAtMs: __, ...rules } = document as Record<string, unknown>
  return rules
}

async function versionOf(client: Client): Promise<number> {
  const { z } = await import('zod')
  const schema = z.object({ policy: z.looseObject({ version: z.int() }) })
  return (await client.call(schema, 'GET', PATH)).policy.version
}

async function proposalsOf(client: Client) {
  const { z } = await import('zod')
  const { proposalSchema } = await import('./policy-text.ts')
  const schema = z.object({ proposals: z.array(proposalSchema) })
  return (await client.call(schema, 'GET', `${PATH}/proposals`)).proposals
}

/** What became of it, in words. */
async function send(client: Client, json: object): Promise<string> {
  const { z } = await import('zod')
  const { proposalSchema, proposalText } = await import('./policy-text.ts')
  const schema = z.union([proposalSchema, z.looseObject({ version: z.int() })])
  const made = await client.call(schema, 'PATCH', PATH, { json })
  if (!('basisVersion' in made)) return `The policy is at version ${made.version}.\n`
  const proposal = proposalSchema.parse(made)
  return `${proposalText(proposal)}\nIt waits for a second person: candor policy approve ${proposal.number}\n`
}
