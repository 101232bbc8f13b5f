/** `candor search`: stored reads, for a stated purpose; its further pages, one sighting opened, and all of it as a marked file. */
import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { timeAt, usageError, wholeNumber } from './options.ts'

interface Options {
  plate?: string
  partial?: string
  match?: 'exact' | 'confusable'
  from?: number
  to?: number
  camera: string[]
  list: string[]
  jurisdiction?: string
  colour?: string
  place: PlaceOption[]
  atLeast?: number
  purpose?: string
  case?: string
  offence?: string
  reason?: string
  of?: number
  open?: string
  limit: number
  offset: number
  export?: string
  agencies?: string[]
  agencyCameras?: string[]
  pictures?: string
  json?: boolean
}

interface PlaceOption {
  camera: string
  fromMs: number
  toMs: number
}

const repeated = (value: string, before: string[]) => [...before, value]

/** `CAMERA,FROM,TO`. */
function place(value: string, before: PlaceOption[]): PlaceOption[] {
  const [camera = '', from = '', to = '', ...more] = value.split(',')
  if (camera === '' || to === '' || more.length > 0)
    throw usageError('a place is CAMERA,FROM,TO, such as elm-st-1,2026-01-31T08:00Z,2026-01-31T09:00Z')
  return [...before, { camera, fromMs: timeAt('start')(from), toMs: timeAt('end')(to) }]
}

export function register(program: Command): void {
  program
    .command('search')
    .description('search stored reads; case number, offence type and reason are required, and every search is audited')
    .option('--plate <plate>', 'a plate, or a pattern with * (any characters) and ? (one), anywhere in it')
    .option('--partial <text>', 'a part of a plate')
    .addOption(
      new Option('--match <how>', 'also what reading confuses, shown as ≈ (default: for a whole plate)').choices([
        'exact',
        'confusable',
      ]),
    )
    .option('--from <time>', 'seen from: 2026-01-31 or 2026-01-31T08:00:00Z', timeAt('start'))
    .option('--to <time>', 'seen before; a date counts to its end', timeAt('end'))
    .option('--camera <name>', 'only this camera; may be repeated', repeated, [])
    .option('--list <name>', 'only with an alert or a match of this list; may be repeated', repeated, [])
    .option('--jurisdiction <code>', 'US-CA, or US for each of its states')
    .option('--colour <name>', 'of the vehicle')
    .option('--place <camera,from,to>', 'vehicles that passed there then; repeat for several places', place, [])
    .option('--at-least <count>', 'how many of the places (default: all)', wholeNumber(2, 16))
    .option('--purpose <code>', 'one of the policy’s purposes, where it names some')
    // Not required by the parser: a search without them must reach the cloud, be refused there and stand in the audit.
    .option('--case <number>', 'case number (required)')
    .option('--offence <type>', 'offence type (required)')
    .option('--reason <text>', 'what the search is for (required)')
    .option('--of <number>', 'another page, or the export, of this search: its number in the audit', wholeNumber(1))
    .option('--open <sighting>', 'one sighting of search --of: SIGHTING,CAMERA,VOUCHER as --json gives them')
    .option('--limit <count>', 'results of one page, at most 200', wholeNumber(1, 200), 50)
    .option('--offset <count>', 'results to skip', wholeNumber(0), 0)
    .option('--export <file>', 'all that was found, marked, to FILE.csv or FILE.json; an entry of the audit of its own')
    .option('--agencies <names...>', 'partners to ask as well; all: each that has a grant for the purpose')
    .option('--agency-cameras <names...>', 'with --agencies: only these cameras of theirs')
    .option('--pictures <folder>', 'with --agencies: save the partners’ evidence pictures there')
    .option('--json', 'one JSON document')
    .action(async (options: Options) => {
      const format = options.export === undefined ? null : /\.(csv|json)$/.exec(options.export)?.[1]
      if (format === undefined) throw usageError('--export FILE: the name ends in .csv or .json')
      // Before the export stands in the audit for nothing; that it is written over no file is seen again when it is written.
      if (options.export !== undefined && existsSync(options.export))
        throw usageError(`--export FILE: ${options.export} is there already`)
      if (options.plate !== undefined && options.partial !== undefined)
        throw usageError('--plate or --partial, not both')
      if (options.open !== undefined && options.of === undefined) throw usageError('--open needs --of NUMBER')
      const { searchWith } = await import('./search-call.ts')
      const { showAnswer } = await import('./search-answer.ts')
      const { printJson } = await import('./terminal.ts')
      if (options.agencies !== undefined) {
        const { searchAgencies } = await import('./search-agencies.ts')
        await searchAgencies(options, queryOf(options))
        return
      }
      if (options.open !== undefined) {
        printJson(await searchWith((calls) => calls.open(options.of ?? 0, options.open ?? '')))
        return
      }
      const page = { limit: options.limit, offset: options.offset }
      const answer = await searchWith((calls) =>
        options.of === undefined ? calls.run({ ...queryOf(options), ...page }) : calls.page(options.of, page),
      )
      const exported =
        format === null ? null : await searchWith((calls) => calls.save(answer.auditSeq, format, options.export ?? ''))
      if (options.json === true) printJson(exported === null ? answer : { ...answer, export: exported })
      else showAnswer(answer, page, exported)
    })
}

function queryOf(options: Options): Record<string, unknown> {
  return {
    plate: options.partial === undefined ? (options.plate ?? null) : `*${options.partial}*`,
    match: options.match ?? null,
    fromMs: options.from ?? null,
    toMs: options.to ?? null,
    cameras: options.camera,
    lists: options.list,
    jurisdiction: options.jurisdiction ?? null,
    colour: options.colour ?? null,
    places: options.place,
    placesMet: options.atLeast ?? null,
    purpose: options.purpose ?? null,
    caseNumber: options.case ?? '',
    offenceType: options.offence ?? '',
    reason: options.reason ?? '',
  }
}
