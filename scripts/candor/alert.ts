/** `candor alert`: the officer's work from a terminal: see alerts arrive, compare the picture, confirm, decide, close. */
import { type Command, Option } from 'commander'
import type { Alert, AlertStep } from '../../shared/wire/index.ts'
import { registerOutcomes, registerRules } from './alert-rules.ts'
import type { Client } from './client.ts'
import { positiveNumber, usageError } from './options.ts'

/** By their types, and not from the schemas, which are not loaded to print help. */
const STATES = Object.keys({
  open: true,
  raised: true,
  image_compared: true,
  source_confirmed: true,
  actionable: true,
  closed: true,
} satisfies Record<Alert['state'] | 'open', true>)
const OUTCOMES = Object.keys({
  misread: true,
  cleared: true,
  stale: true,
  wrong_jurisdiction: true,
  located: true,
  not_located: true,
} satisfies Record<NonNullable<Alert['outcome']>, true>)

export function register(program: Command): void {
  const alert = program.command('alert').description('alerts of your groups; each must be verified by a person')

  alert
    .command('watch')
    .description(
      'alerts (and, for supervisors, sightings) as they arrive, until Ctrl-C; those missed meanwhile come first',
    )
    .option('--json', 'one JSON line each')
    .action(async (options: { json?: boolean }) => {
      const { watch } = await import('./watch.ts')
      await watch(options.json === true)
    })

  alert
    .command('list')
    .description('open alerts, newest first')
    .addOption(new Option('--state <state>', 'open, or one state').choices(STATES).default('open'))
    .option('--json', 'one JSON document')
    .action(async (options: { state: string; json?: boolean }) => {
      const { z } = await import('zod')
      const { alertSchema } = await import('../../shared/wire/index.ts')
      const { withClient } = await import('./client.ts')
      const { printJson, seenTime, table } = await import('./terminal.ts')
      const query = new URLSearchParams({ state: options.state, limit: '200' })
      const { alerts } = await withClient((client) =>
        client.call(z.object({ alerts: z.array(alertSchema) }), 'GET', `/api/v1/alerts?${query}`),
      )
      if (options.json === true) return printJson(alerts)
      const rows = alerts.map((one) => [
        one.alertId,
        seenTime(one.sighting.seenAtMs, one.sighting.clock === 'synced'),
        one.sighting.cameraId,
        stateOf(one),
        one.acknowledgedBy ?? '',
        plateOf(one),
        String(one.sightings),
        one.match.category,
      ])
      process.stdout.write(
        table(['alert', 'seen', 'camera', 'state', 'taken by', 'plate', 'sightings', 'category'], rows),
      )
    })

  alert
    .command('show')
    .description('one alert; --picture saves its evidence picture to look at')
    .argument('<id>')
    .option('--picture <file>', 'where the JPEG is written')
    .option('--json', 'one JSON document')
    .action(async (id: string, options: { picture?: string; json?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      await withClient(async (client) => {
        const detail = await detailOf(client, id)
        if (options.picture !== undefined) {
          const { writeFile } = await import('node:fs/promises')
          await writeFile(options.picture, await client.bytes(`${path(id)}/crop`), { mode: 0o600 })
        }
        if (options.json === true) return printJson(detail)
        process.stdout.write(await describe(detail))
      })
    })

  for (const [verb, wanted, description] of [
    [
      'take',
      'acknowledged',
      'you work on it: everybody sees that, and it is not escalated; takes it over from another',
    ],
    ['release', 'released', 'you do not work on it any more: it waits for somebody again'],
  ] as const) {
    alert
      .command(verb)
      .description(description)
      .argument('<id>')
      .action((id: string) => step(id, (revision) => ({ step: wanted, revision })))
  }

  alert
    .command('compare')
    .description('first step: what you read in the picture yourself; another plate than the listed one is refused')
    .argument('<id>')
    .requiredOption('--plate <plate>', 'the plate as you read it in the picture')
    .option('--jurisdiction <code>', 'state or country as you see it in the picture')
    .action((id: string, options: { plate: string; jurisdiction?: string }) =>
      step(id, (revision) => ({
        step: 'image_compared',
        revision,
        plateSeen: options.plate,
        jurisdictionSeen: options.jurisdiction ?? null,
      })),
    )

  alert
    .command('confirm')
    .description('second step: the list’s source confirms that the entry stands')
    .argument('<id>')
    .requiredOption('--with <who>', 'who or what system confirmed it')
    .requiredOption('--result <text>', 'what they said')
    .action((id: string, options: { with: string; result: string }) =>
      step(id, (revision) => ({
        step: 'source_confirmed',
        revision,
        confirmedWith: options.with,
        result: options.result,
      })),
    )

  alert
    .command('decide')
    .description('third step: the alert may be acted on')
    .argument('<id>')
    .action((id: string) => step(id, (revision) => ({ step: 'actionable', revision })))

  alert
    .command('take-back')
    .description('the last step was a slip: the alert goes back to before it, a closed one to its beginning')
    .argument('<id>')
    .requiredOption('--reason <text>', 'what was wrong; kept in the audit')
    .action((id: string, { reason }: { reason: string }) =>
      step(id, (revision) => ({ step: 'taken_back', revision, reason })),
    )

  alert
    .command('close')
    .description(
      'close with an outcome: misread, cleared, stale, wrong_jurisdiction; once actionable also located, not_located',
    )
    .argument('<id>')
    .addOption(new Option('--outcome <outcome>', 'how it ended').choices(OUTCOMES).makeOptionMandatory())
    .option('--note <text>', 'for the record', '')
    .option('--correct-plate <plate>', 'needed for a misread: what the plate says')
    .option('--unreadable', 'instead, for a misread: it cannot be read')
    .option('--suppress <hours>', 'for a cleared one: its entry raises no alert for so long', positiveNumber)
    .action(async (id: string, options: CloseOptions) => {
      const typed = options.correctPlate
      if (options.outcome === 'misread' && (typed === undefined) !== (options.unreadable === true)) {
        throw usageError('a misread needs --correct-plate PLATE, or --unreadable.')
      }
      const { normalisePlate } = await import('../../shared/plate.ts')
      const { alertStepSchema } = await import('../../shared/wire/index.ts')
      const { AppError } = await import('../../shared/errors.ts')
      const suppressForMs = options.suppress === undefined ? null : Math.round(options.suppress * 3_600_000)
      const { outcome, note } = options
      const correctPlate = typed === undefined ? null : (normalisePlate(typed) ?? typed)
      const wanted = { outcome, note, correctPlate, suppressForMs }
      const checked = alertStepSchema.safeParse({ step: 'closed', revision: 0, ...wanted })
      if (!checked.success) {
        const { path: field, message } = checked.error.issues[0] ?? { path: [], message: 'not valid' }
        throw new AppError('bad_input', `${field.join('.')}: ${message}`)
      }
      await step(id, (revision) => ({ ...checked.data, revision }))
    })
  registerSuppressions(alert)
  registerRules(alert)
  registerOutcomes(alert)
}

interface CloseOptions {
  outcome: string
  note: string
  correctPlate?: string
  unreadable?: boolean
  suppress?: number
}

const SUPPRESSIONS = '/api/v1/suppressions'

function registerSuppressions(alert: Command): void {
  alert
    .command('suppressions')
    .description('cleared entries that raise no alert until their time is over')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const one = z.object({
        list: z.string(),
        entryId: z.string(),
        untilMs: z.int(),
        madeBy: z.string(),
        alertId: z.string(),
      })
      const found = await withClient((client) =>
        client.call(z.object({ suppressions: z.array(one) }), 'GET', SUPPRESSIONS),
      )
      if (options.json === true) return printJson(found)
      const rows = found.suppressions.map(({ list, entryId, untilMs, madeBy, alertId }) => [
        list,
        entryId,
        time(untilMs),
        madeBy,
        alertId,
      ])
      process.stdout.write(table(['list', 'entry', 'until', 'cleared by', 'alert'], rows))
    })

  alert
    .command('unsuppress')
    .description('a cleared entry raises alerts again')
    .argument('<list>')
    .argument('<entry>', 'as `candor alert suppressions` shows it')
    .action(async (list: string, entry: string) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const path = `${SUPPRESSIONS}/${encodeURIComponent(list)}/${encodeURIComponent(entry)}`
      await withClient((client) => client.call(z.object({ list: z.string() }), 'DELETE', path))
      process.stdout.write(`The entry of ${list} raises alerts again.\n`)
    })
}

const path = (id: string) => `/api/v1/alerts/${encodeURIComponent(id)}`

/** With what makes it more or less urgent than it looks. */
function stateOf({ outcome, state, escalatedAtMs, historical, match, heldFor }: Alert): string {
  const marks = [
    ...(escalatedAtMs === null ? [] : ['ESCALATED']),
    ...(historical ? ['of the past'] : []),
    ...(match.stale ? ['old list'] : []),
    ...(heldFor.length === 0 ? [] : ['not pushed']),
  ]
  return [outcome ?? state, ...marks].join(', ')
}

const MARKS = { exact: '', near: '≈ ', wildcard: '~ ' } as const

/** Until somebody has compared the picture, the read is not shown: who knows it sees it in the picture. */
function plateOf(alert: Alert): string {
  if (alert.state === 'raised') return '(compare first)'
  return `${MARKS[alert.match.kind]}${alert.sighting.plate}`
}

async function detailOf(client: Client, id: string) {
  const { z } = await import('zod')
  const { alertSchema } = await import('../../shared/wire/index.ts')
  const schema = z.object({
    alert: alertSchema,
    steps: z.array(
      z.object({
        ...{ step: z.string(), account: z.string(), atMs: z.number() },
        ...{ outcome: z.string().nullable(), correctPlate: z.string().nullable() },
      }),
    ),
    source: z.object({ reason: z.string().nullable(), caseNumber: z.string().nullable() }).nullable(),
  })
  return client.call(schema, 'GET', path(id))
}

/** One step on, from the revision that the cloud has now; somebody who is faster makes it a conflict. */
async function step(id: string, make: (revision: number) => AlertStep): Promise<void> {
  const { alertSchema } = await import('../../shared/wire/index.ts')
  const { withClient } = await import('./client.ts')
  const after = await withClient(async (client) => {
    const { alert } = await detailOf(client, id)
    return client.call(alertSchema, 'POST', `${path(id)}/steps`, { json: make(alert.revision) })
  })
  const holder = after.acknowledgedBy === null ? 'nobody has taken it' : `taken by ${after.acknowledgedBy}`
  process.stdout.write(
    `${after.alertId} is ${after.outcome === null ? `${after.state}, ${holder}` : `closed: ${after.outcome}`}.\n`,
  )
}

const NEXT: Readonly<Record<Alert['state'], string>> = {
  raised: 'candor alert compare ID --plate PLATE   (what you read in the picture: candor alert show ID --picture FILE)',
  image_compared: 'candor alert confirm ID --with WHO --result TEXT',
  source_confirmed: 'candor alert decide ID',
  actionable: 'candor alert close ID --outcome located|not_located',
  closed: '',
}

async function describe({ alert, steps, source }: Awaited<ReturnType<typeof detailOf>>): Promise<string> {
  const { seenTime, time } = await import('./terminal.ts')
  const { match, sighting } = alert
  const lines = [
    `${alert.alertId}  ${alert.outcome ?? alert.state}`,
    `  seen by ${sighting.cameraId} at ${seenTime(sighting.seenAtMs, sighting.clock === 'synced')}`,
    `  list ${match.list}: ${match.category}, priority ${match.priority}`,
    `  plate ${plateOf(alert)}${alert.state === 'raised' ? '' : ` (${(sighting.confidence * 100).toFixed(0)} %), listed ${match.listedPlate}`}`,
  ]
  if (alert.state !== 'raised' && source !== null) {
    lines.push(
      `  source: ${source.reason ?? 'no reason given'}${source.caseNumber === null ? '' : `, case ${source.caseNumber}`}`,
    )
  }
  if (sighting.clock === 'unsynced') {
    lines.push('  THE CAMERA’S CLOCK IS NOT TRUSTED; THE TIME IS WHEN THE CLOUD RECEIVED IT')
  }
  if (alert.historical) lines.push('  SEEN BEFORE THE PLATE CAME ONTO THE LIST; THE SIGHTING IS OF THE PAST')
  if (match.stale) lines.push('  THE LIST WAS PAST ITS AGE LIMIT; THE ENTRY MAY BE OVER')
  const [listed, read] = [match.listedJurisdiction, sighting.jurisdiction?.code ?? null]
  if (alert.state !== 'raised' && listed !== null && read !== null && listed !== read) {
    lines.push(`  RIGHT NUMBER, WRONG STATE? LISTED ${listed}, THE CAMERA READ ${read}`)
  }
  if (!match.stillMatches) lines.push('  THE FINAL READ NO LONGER MATCHES THE ENTRY')
  if (alert.acknowledgedBy !== null)
    lines.push(`  taken by ${alert.acknowledgedBy} at ${time(alert.acknowledgedAtMs ?? 0)}`)
  if (alert.escalatedAtMs !== null) lines.push(`  ESCALATED at ${time(alert.escalatedAtMs)}: nobody had taken it`)
  for (const { group, untilMs } of alert.heldFor) {
    lines.push(
      `  not pushed to ${group}: ${untilMs === null ? 'not urgent enough for it' : `quiet until ${time(untilMs)}`}`,
    )
  }
  if (alert.sightings > 1) lines.push(`  ${alert.sightings} sightings; the further ones, NOT COMPARED:`)
  for (const one of alert.trail) {
    const read = alert.state === 'raised' ? '' : `  ${MARKS[one.kind]}${one.plate}`
    const gone = one.stillMatches ? '' : '  no longer matches'
    lines.push(`    ${seenTime(one.seenAtMs, one.clock === 'synced')}  ${one.cameraId}${read}${gone}`)
  }
  for (const one of steps) {
    const closing = one.outcome === null ? '' : ` as ${one.outcome}`
    const says =
      one.outcome === 'misread'
        ? `, the plate ${one.correctPlate === null ? 'cannot be read' : `says ${one.correctPlate}`}`
        : ''
    lines.push(`  ${time(one.atMs)}  ${one.account}: ${one.step}${closing}${says}`)
  }
  if (alert.state !== 'closed') lines.push(`  next: ${NEXT[alert.state].replaceAll('ID', alert.alertId)}`)
  return `${lines.join('\n')}\n`
}
