/** `candor policy`: what is kept and for how long, what leaves a camera, and what may be on a hotlist. */
import { type Command, Option } from 'commander'
import { positiveNumber, usageError, wholeNumber } from './options.ts'

interface SetOptions {
  upload?: string
  unmatchedDays?: number
  matchedDays?: number
  cropDays?: number
  quarantineDays?: number
  prohibit?: string[]
  staleLists?: string
  secondPerson?: string
  manualHours?: number
  shifts?: string
  timeZone?: string
  checkPast?: number
}

const PATH = '/api/v1/policy'

export function register(program: Command): void {
  const policy = program.command('policy').description('the agency’s signed policy')

  policy
    .command('show')
    .description('the policy in force')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { printJson, time } = await import('./terminal.ts')
      const { policy: current } = await withClient(async (client) => client.call(await policyReply(), 'GET', PATH))
      if (options.json === true) return printJson(current)
      const { retention, hotlists, upload, version, issuedAtMs } = current
      const { shifts } = hotlists
      const lines = [
        `version ${version}, of ${time(issuedAtMs)}`,
        `leaves a camera: ${upload === 'all' ? 'every sighting' : 'matches only'}`,
        `kept, days: unmatched ${retention.unmatchedDays}, matched ${retention.matchedDays}, pictures ${retention.cropDays}, quarantine ${retention.quarantineDays}`,
        `prohibited on lists: immigration${hotlists.prohibitedCategories.map((one) => `, ${one}`).join('')}`,
        `a list past its age limit: ${hotlists.staleLists === 'mark' ? 'still matches, its alerts say so' : 'matches nothing'}`,
        `entries by hand: at most ${hotlists.manualMaxHours} hours${hotlists.manualNeedsSecondPerson ? ', after a second person’s approval' : ''}`,
        `shifts end: ${shifts === null ? 'not said' : `${shifts.ends.join(', ')} in ${shifts.timeZone}`}`,
        `new entries against stored sightings: ${hotlists.checkPastHours === 0 ? 'not checked' : `${hotlists.checkPastHours} hours back`}`,
      ]
      process.stdout.write(`${lines.join('\n')}\n`)
    })

  policy
    .command('set')
    .description('change some of it, as a new version; the rest stays')
    .addOption(new Option('--upload <what>', 'which sightings leave a camera').choices(['all', 'matches-only']))
    .option('--unmatched-days <n>', 'sightings without a match are kept so long', positiveNumber)
    .option('--matched-days <n>', 'sightings with a match, and their alerts', positiveNumber)
    .option('--crop-days <n>', 'evidence pictures', positiveNumber)
    .option('--quarantine-days <n>', 'publishes that could never be valid', positiveNumber)
    .option('--prohibit <category...>', 'categories dropped at import, beside immigration; replaces those named before')
    .addOption(new Option('--stale-lists <what>', 'lists past their age limit').choices(['mark', 'stop']))
    .addOption(new Option('--second-person <yes|no>', 'for entries made by hand').choices(['yes', 'no']))
    .option('--manual-hours <n>', 'longest life of an entry made by hand', wholeNumber(1))
    .option('--shifts <times>', 'when shifts end, such as 06:00,14:00,22:00; `none`; with --time-zone')
    .option('--time-zone <name>', 'of the shifts, such as America/Los_Angeles')
    .option('--check-past <hours>', 'hold new entries against sightings so far back; 0: not at all', wholeNumber(0))
    .action(async (options: SetOptions) => {
      const { withClient } = await import('./client.ts')
      const isNone = options.shifts === 'none'
      if (!isNone && (options.shifts === undefined) !== (options.timeZone === undefined)) {
        throw usageError('--shifts and --time-zone belong together')
      }
      const ends = options.shifts?.split(',').map((end) => end.trim())
      const retention = {
        unmatchedDays: options.unmatchedDays,
        matchedDays: options.matchedDays,
        cropDays: options.cropDays,
        quarantineDays: options.quarantineDays,
      }
      const hotlists = {
        prohibitedCategories: options.prohibit,
        staleLists: options.staleLists,
        manualNeedsSecondPerson: options.secondPerson === undefined ? undefined : options.secondPerson === 'yes',
        manualMaxHours: options.manualHours,
        shifts: isNone ? null : ends === undefined ? undefined : { timeZone: options.timeZone, ends },
        checkPastHours: options.checkPast,
      }
      if ([options.upload, ...Object.values(retention), ...Object.values(hotlists)].every((one) => one === undefined)) {
        throw usageError('nothing to change; add --help')
      }
      const version = await withClient(async (client) => {
        const { policy: current } = await client.call(await policyReply(), 'GET', PATH)
        const json = { version: current.version, upload: options.upload, retention, hotlists }
        const { policySchema } = await import('../../shared/wire/index.ts')
        return (await client.call(policySchema, 'PATCH', PATH, { json })).version
      })
      process.stdout.write(`The policy is at version ${version}.\n`)
    })
}

async function policyReply() {
  const { z } = await import('zod')
  const { policySchema } = await import('../../shared/wire/index.ts')
  return z.object({ policy: policySchema })
}
