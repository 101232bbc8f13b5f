/** `candor hold`: what a case needs is kept beyond its retention: add, list, show, picture, extend, release. */
import type { Command } from 'commander'
import type { Hold } from '../../cloud/holds.ts'
import type { Client } from './client.ts'
import { timeAt, usageError } from './options.ts'

interface AddOptions {
  case: string
  basis: string
  until: number
  sighting?: string[]
  alert?: string[]
  plate?: string
  from?: number
  to?: number
  camera?: string[]
  near?: boolean
  purpose?: string
  offence?: string
  json?: boolean
}

export function register(program: Command): void {
  const hold = program.command('hold').description('evidence holds: what a case needs is kept beyond its retention')

  hold
    .command('add')
    .description('keep sightings or alerts that are there now; nothing that arrives later is held')
    .requiredOption('--case <number>', 'case number')
    .requiredOption('--basis <text>', 'legal basis: an order, a request, a section')
    .requiredOption('--until <time>', 'end of the hold; a date counts to its end', timeAt('end'))
    .option('--sighting <ids...>', 'these sightings')
    .option('--alert <ids...>', 'these alerts, with their sightings')
    .option('--plate <plate>', 'reads of this plate; needs the right to search')
    .option('--from <time>', 'with --plate: seen from', timeAt('start'))
    .option('--to <time>', 'with --plate: seen before; a date counts to its end', timeAt('end'))
    .option('--camera <names...>', 'with --plate: only these cameras')
    .option('--near', 'with --plate: also reads that reading may have confused with it')
    .option('--offence <type>', 'with --plate: offence type, as of a search (required)')
    .option('--purpose <code>', 'with --plate: one of the policy’s purposes, where it names some')
    .option('--json', 'one JSON document')
    .action(async (options: AddOptions) => {
      const selection = selectionOf(options)
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const json = { caseNumber: options.case, basis: options.basis, untilMs: options.until, selection }
      const made = await withClient(async (client) =>
        client.call(await holdSchema(), 'POST', '/api/v1/holds', { json }),
      )
      if (options.json === true) return printJson(made)
      process.stdout.write(`${made.holdId}\n${await contents(made)}\n`)
    })

  hold
    .command('list')
    .description('holds in force, without what they keep')
    .option('--case <number>', 'of this case only')
    .option('--json', 'one JSON document')
    .action(async (options: { case?: string; json?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const holds = await withClient((client) => listOf(client, options.case ?? null))
      if (options.json === true) return printJson(holds)
      const rows = holds.map((one) => [
        ...[one.holdId, one.caseNumber, time(one.untilMs), String(one.sightings), String(one.alerts)],
        ...[one.madeBy, one.basis],
      ])
      process.stdout.write(table(['hold', 'case', 'until', 'sightings', 'alerts', 'made by', 'basis'], rows))
    })

  hold
    .command('show')
    .description('what a hold keeps, or all holds of a case')
    .argument('<case-or-hold>', 'case number, or id of a hold')
    .option('--json', 'one JSON document')
    .action(async (name: string, options: { json?: boolean }) => {
      const { AppError } = await import('../../shared/errors.ts')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      await withClient(async (client) => {
        const ids = HOLD_ID.test(name) ? [name] : (await listOf(client, name)).map(({ holdId }) => holdId)
        if (ids.length === 0) throw new AppError('not_found', 'there is no such hold, or it is over')
        const shown = []
        for (const id of ids) shown.push(await wholeOf(client, id))
        if (options.json === true) return printJson(shown)
        for (const one of shown) process.stdout.write(await describe(one))
      })
    })

  hold
    .command('picture')
    .description('save the evidence picture of a held sighting')
    .argument('<hold>')
    .argument('<camera>')
    .argument('<sighting>')
    .requiredOption('--out <file>', 'where the JPEG is written')
    .action(async (id: string, camera: string, sighting: string, options: { out: string }) => {
      const { writeFile } = await import('node:fs/promises')
      const { withClient } = await import('./client.ts')
      const path = [id, 'sightings', camera, sighting, 'crop'].map(encodeURIComponent).join('/')
      const jpeg = await withClient((client) => client.bytes(`/api/v1/holds/${path}`))
      await writeFile(options.out, jpeg, { mode: 0o600 })
    })

  hold
    .command('extend')
    .description('another end, at most as far from now as policy allows')
    .argument('<hold>')
    .requiredOption('--until <time>', 'end of the hold; a date counts to its end', timeAt('end'))
    .option('--json', 'one JSON document')
    .action((id: string, options: { until: number; json?: boolean }) =>
      change(id, 'extend', { untilMs: options.until }, options.json === true),
    )

  hold
    .command('release')
    .description('end it now: what is past its own retention is deleted with the next purge')
    .argument('<hold>')
    .option('--json', 'one JSON document')
    .action((id: string, options: { json?: boolean }) => change(id, 'release', undefined, options.json === true))
}

const HOLD_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/

function selectionOf(options: AddOptions) {
  const ways = [options.sighting, options.alert, options.plate].filter((way) => way !== undefined)
  if (ways.length !== 1)
    throw usageError('say what to hold: --sighting IDs, --alert IDs, or --plate with --from and --to')
  if (options.sighting !== undefined) return { kind: 'sightings', sightingIds: options.sighting }
  if (options.alert !== undefined) return { kind: 'alerts', alertIds: options.alert }
  const { plate, from, to, camera = [], near = false, purpose = null, offence } = options
  if (from === undefined || to === undefined || offence === undefined)
    throw usageError('--plate needs --from, --to and --offence')
  return { kind: 'plate', plate, fromMs: from, toMs: to, cameras: camera, near, purpose, offenceType: offence }
}

async function holdSchema() {
  const { z } = await import('zod')
  return z.looseObject({
    holdId: z.string(),
    caseNumber: z.string(),
    basis: z.string(),
    madeBy: z.string(),
    untilMs: z.int(),
    sightings: z.int(),
    alerts: z.int(),
  })
}

async function listOf(client: Client, caseNumber: string | null) {
  const { z } = await import('zod')
  const query = caseNumber === null ? '' : `?${new URLSearchParams({ case: caseNumber })}`
  const schema = z.object({ holds: z.array(await holdSchema()) })
  return (await client.call(schema, 'GET', `/api/v1/holds${query}`)).holds
}

/** Page by page: a hold may keep thousands. */
async function wholeOf(client: Client, id: string) {
  const { z } = await import('zod')
  const { sightingSchema } = await import('../../shared/wire/index.ts')
  const schema = z.object({
    hold: await holdSchema(),
    sightings: z.array(
      z.looseObject({
        sighting: sightingSchema,
        seenAtMs: z.int(),
        clockTrusted: z.boolean(),
        hasPicture: z.boolean(),
      }),
    ),
    alerts: z.array(
      z.looseObject({
        alert: z.looseObject({
          alertId: z.string(),
          raisedAtMs: z.int(),
          state: z.string(),
          outcome: z.string().nullable(),
          match: z.looseObject({ list: z.string(), listedPlate: z.string() }),
        }),
      }),
    ),
  })
  const page = (offset: number) =>
    client.call(schema, 'GET', `/api/v1/holds/${encodeURIComponent(id)}?offset=${offset}&limit=${PAGE}`)
  const whole = await page(0)
  for (let offset = PAGE; offset < whole.hold.sightings; offset += PAGE) {
    whole.sightings.push(...(await page(offset)).sightings)
  }
  return whole
}
const PAGE = 200

async function describe({ hold, sightings, alerts }: Awaited<ReturnType<typeof wholeOf>>): Promise<string> {
  const { seenTime, table, time } = await import('./terminal.ts')
  const rows = sightings.map(({ sighting, seenAtMs, clockTrusted, hasPicture }) => [
    ...[seenTime(seenAtMs, clockTrusted), sighting.cameraId, sighting.plate ?? '', sighting.confidence.toFixed(2)],
    ...[hasPicture ? 'yes' : 'no', sighting.sightingId],
  ])
  const raised = alerts.map(({ alert }) => [
    ...[time(alert.raisedAtMs), alert.match.list, alert.match.listedPlate, alert.outcome ?? alert.state, alert.alertId],
  ])
  return [
    `${hold.holdId}  case ${hold.caseNumber}\n${hold.basis}\n${await contents(hold)}\n`,
    table(['seen', 'camera', 'plate', 'confidence', 'picture', 'sighting'], rows),
    raised.length === 0 ? '' : table(['raised', 'list', 'listed', 'state', 'alert'], raised),
  ].join('')
}

async function contents(hold: Pick<Hold, 'sightings' | 'alerts' | 'untilMs' | 'madeBy'>): Promise<string> {
  const { time } = await import('./terminal.ts')
  return `${hold.sightings} sightings and ${hold.alerts} alerts, until ${time(hold.untilMs)}, by ${hold.madeBy}`
}

async function change(id: string, verb: 'extend' | 'release', json: unknown, asJson: boolean): Promise<void> {
  const { withClient } = await import('./client.ts')
  const { printJson, time } = await import('./terminal.ts')
  const path = `/api/v1/holds/${encodeURIComponent(id)}/${verb}`
  const held = await withClient(async (client) => client.call(await holdSchema(), 'POST', path, { json }))
  if (asJson) return printJson(held)
  process.stdout.write(verb === 'extend' ? `Held until ${time(held.untilMs)}.\n` : 'The hold is over.\n')
}
