/** `candor fleet`: how the cameras are, what they were, what is wrong with them, and who has seen it. */
import type { Command } from 'commander'
import { HOUR_MS } from '../../shared/clock.ts'
import { fleetAlarmSchema } from '../../shared/wire/fleet.ts'
import { settingsInForceSchema, settingsText } from '../../shared/wire/roll-out.ts'
import { positiveNumber } from './options.ts'

/** Longest service of a camera at once, hours: as the cloud takes it. */
const MAX_SERVICE_HOURS = 14 * 24

export function register(program: Command): void {
  const fleet = program.command('fleet').description('the watch over the cameras: health, alarms, service')

  fleet
    .command('status')
    .description('how each camera is')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { age, printable, printJson, table } = await import('./terminal.ts')
      const schema = z.object({
        nowMs: z.int(),
        cameras: z.array(
          z.looseObject({
            camera: z.string(),
            state: z.string(),
            online: z.boolean(),
            lastHeardAtMs: z.int().nullable(),
            figures: z.record(z.string(), z.number()),
            vehiclesThisHour: z.int(),
            vehiclesLastHour: z.int(),
            dataEncrypted: z.boolean().nullable().optional(),
            hotlists: z.array(z.object({ list: z.string(), version: z.int(), stale: z.boolean() })),
            settings: settingsInForceSchema.nullable().default(null),
            settingsMeant: z.int().nullable().default(null),
            alarms: z.array(fleetAlarmSchema),
          }),
        ),
        authority: z.looseObject({ warnings: z.array(z.string()) }),
      })
      const found = await withClient((client) => client.call(schema, 'GET', '/api/v1/fleet'))
      if (options.json === true) return printJson(found)
      const figure = (value: number | undefined, show: (value: number) => string) =>
        value === undefined ? '' : show(value)
      const rows = found.cameras.map(({ figures, ...one }) => [
        one.camera,
        one.state === 'alarm' ? one.alarms.map(({ kind }) => kind).join(' ') : one.state,
        one.online ? 'online' : 'offline',
        one.lastHeardAtMs === null ? 'never' : `${age(Math.max(0, found.nowMs - one.lastHeardAtMs))} ago`,
        figure(figures.read, (value) => value.toFixed(1)),
        `${one.vehiclesThisHour} (${one.vehiclesLastHour})`,
        figure(figures.temperature, (value) => `${Math.round(value)} °C`),
        figure(figures.diskFree, (value) => `${Math.round(100 * value)} %`),
        figure(figures.outboxRows, String),
        // A cloud of before does not say.
        one.dataEncrypted == null ? '' : one.dataEncrypted ? 'encrypted' : 'open',
        one.hotlists.map(({ list, version, stale }) => `${list} ${version}${stale ? ' stale' : ''}`).join(', '),
        settingsText(one.settings, one.settingsMeant),
      ])
      const head = [
        'camera',
        'state',
        '',
        'heard',
        'frames/s',
        'this hour (last)',
        'heat',
        'disk free',
        'waiting',
        'data',
        'lists',
        'settings',
      ]
      process.stdout.write(table(head, rows))
      for (const warning of found.authority.warnings) process.stdout.write(`${printable(warning)}\n`)
    })

  fleet
    .command('history')
    .description('what a camera said of itself: by the hour, or with --json every report that is kept')
    .argument('<camera>')
    .option('--hours <number>', 'so far back', positiveNumber, 24)
    .option('--json', 'one JSON document')
    .action(async (camera: string, options: { hours: number; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const spread = z.array(z.number())
      const schema = z.looseObject({
        reports: z.array(z.object({ atMs: z.int(), figures: z.record(z.string(), z.number()) })),
        hours: z.array(
          z.object({
            hour: z.int(),
            vehicles: z.int(),
            coveredMs: z.int(),
            spreads: z.record(z.string(), spread),
          }),
        ),
      })
      const toMs = Date.now()
      const query = `fromMs=${Math.round(toMs - options.hours * HOUR_MS)}&toMs=${toMs}`
      const path = `/api/v1/cameras/${encodeURIComponent(camera)}/history?${query}`
      const found = await withClient((client) => client.call(schema, 'GET', path))
      if (options.json === true) return printJson(found)
      const mean = (spreads: Record<string, number[]>, metric: string, digits: number) =>
        spreads[metric]?.[1]?.toFixed(digits) ?? ''
      const rows = found.hours.map(({ hour, vehicles, coveredMs, spreads }) => [
        time(hour * HOUR_MS),
        `${Math.round(coveredMs / 60_000)} min`,
        String(vehicles),
        mean(spreads, 'read', 1),
        mean(spreads, 'temperature', 1),
        mean(spreads, 'luminance', 0),
        mean(spreads, 'sharpness', 2),
        mean(spreads, 'displacement', 3),
        mean(spreads, 'outboxRows', 0),
      ])
      const head = ['hour', 'covered', 'vehicles', 'frames/s', '°C', 'brightness', 'sharpness', 'displaced', 'waiting']
      process.stdout.write(table(head, rows))
    })

  fleet
    .command('alarms')
    .description('what is wrong with cameras; with --all also what was')
    .option('--camera <name>', 'of one camera')
    .option('--all', 'those that are over as well')
    .option('--json', 'one JSON document')
    .action(async (options: { camera?: string; all?: boolean; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printable, printJson, table, time } = await import('./terminal.ts')
      const schema = z.object({ alarms: z.array(fleetAlarmSchema) })
      const of = options.camera === undefined ? '' : `&camera=${encodeURIComponent(options.camera)}`
      const path = `/api/v1/camera-alarms?open=${options.all !== true}&limit=500${of}`
      const { alarms } = await withClient((client) => client.call(schema, 'GET', path))
      if (options.json === true) return printJson(alarms)
      const rows = alarms.map(({ alarmId, cameraId, kind, raisedAtMs, clearedAtMs, acknowledged, detail }) => [
        alarmId,
        cameraId,
        kind,
        time(raisedAtMs),
        clearedAtMs === null ? 'open' : time(clearedAtMs),
        acknowledged === null ? '' : printable(`${acknowledged.by}: ${acknowledged.note}`),
        printable(
          Object.entries(detail)
            .map(([name, value]) => `${name} ${value}`)
            .join(', '),
        ),
      ])
      process.stdout.write(table(['alarm', 'camera', 'kind', 'since', 'until', 'acknowledged', 'by'], rows))
    })

  fleet
    .command('acknowledge')
    .description('say that you have seen an alarm; it ends by itself when it is over')
    .argument('<alarm>', 'its id, as `candor fleet alarms` shows it')
    .requiredOption('--note <text>', 'what is done about it, at most 300 characters')
    .action(async (alarm: string, options: { note: string }) => {
      const { withClient } = await import('./client.ts')
      const path = `/api/v1/camera-alarms/${encodeURIComponent(alarm)}/acknowledge`
      const json = { note: options.note }
      const { cameraId, kind } = await withClient((client) => client.call(fleetAlarmSchema, 'POST', path, { json }))
      process.stdout.write(`${cameraId}: ${kind} is acknowledged.\n`)
    })

  fleet
    .command('maintenance')
    .description('raise no alarm about a camera while somebody works at it')
    .argument('<camera>')
    .option('--hours <number>', `for so long from now, at most ${MAX_SERVICE_HOURS}`, positiveNumber)
    .option('--end', 'it is over')
    .requiredOption('--note <text>', 'what is done, at most 300 characters')
    .action(async (camera: string, options: { hours?: number; end?: boolean; note: string }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { time } = await import('./terminal.ts')
      const { usageError } = await import('./options.ts')
      if ((options.hours === undefined) === (options.end !== true)) throw usageError('give --hours or --end')
      const untilMs = options.hours === undefined ? null : Math.round(Date.now() + options.hours * HOUR_MS)
      const path = `/api/v1/cameras/${encodeURIComponent(camera)}/maintenance`
      const json = { untilMs, note: options.note }
      await withClient((client) => client.call(z.null(), 'POST', path, { json }))
      process.stdout.write(
        untilMs === null
          ? `${camera} is watched again.\n`
          : `${camera} raises no alarm until ${time(untilMs)}; \`candor fleet maintenance ${camera} --end\` ends that.\n`,
      )
    })
}
