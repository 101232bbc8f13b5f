/** `candor camera`: enrol, list, replace, revoke. With `add` and `replace` the camera's key is made here and never leaves this machine. */
import type { Command } from 'commander'
import { registerClaims } from './claim.ts'

interface EnrolOptions {
  out: string
  broker?: string
  frames: string
}

export function register(program: Command): void {
  const camera = program.command('camera').description('cameras of the agency')

  const enrolment = (verb: 'add' | 'replace', description: string) =>
    camera
      .command(verb)
      .description(description)
      .argument('<name>', 'name of the camera: a-z, 0-9 and -')
      .requiredOption('--out <folder>', 'new folder for its key, certificates and edge.json')
      .option('--broker <url>', 'mqtts://HOST:PORT as the camera reaches it (default: the host of your session)')
      .option('--frames <path>', 'folder of pictures or video file that the camera reads, for edge.json', 'frames')
      .action(async (name: string, options: EnrolOptions) => {
        const { enrol } = await import('./enrol.ts')
        const { withClient } = await import('./client.ts')
        const { time } = await import('./terminal.ts')
        const { folder, expiresAtMs } = await withClient((client) => enrol(client, verb, name, options))
        process.stdout.write(
          `${name}: certificate until ${time(expiresAtMs)}. Move ${folder} to the camera and start it there:\n` +
            `  candor edge --config ${folder}/edge.json\n`,
        )
      })
  const byOne = 'Refused where the policy wants two people: `candor camera claim`, approved by a second one'
  enrolment('add', `register a camera: makes its key here, has its certificate signed, writes its folder. ${byOne}`)
  enrolment('replace', `a new key and certificate under the same name; the old one is refused at once. ${byOne}`)

  registerClaims(camera)

  camera
    .command('list')
    .description('cameras with what they last said of themselves')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { age, printJson, table, time } = await import('./terminal.ts')
      const schema = z.object({
        cameras: z.array(
          z.looseObject({
            camera: z.string(),
            state: z.string(),
            certificateExpiresAtMs: z.int().nullable(),
            status: z.looseObject({ online: z.boolean(), software: z.string() }).nullable(),
            healthAtMs: z.int().nullable(),
            health: z
              .looseObject({
                outbox: z.looseObject({ rows: z.int() }),
                source: z.looseObject({ state: z.string(), frameAgeMs: z.int().nullable() }).optional(),
              })
              .nullable(),
          }),
        ),
      })
      const { cameras } = await withClient((client) => client.call(schema, 'GET', '/api/v1/cameras'))
      if (options.json === true) return printJson(cameras)
      const { alarmLines, fetchClaims } = await import('./claim-calls.ts')
      const { claims } = await fetchClaims()
      const nowMs = Date.now()
      /** Of a live camera: that frames come, or for how long none has. */
      const frames = (source: { state: string; frameAgeMs: number | null } | undefined) =>
        source === undefined || source.state === 'delivering'
          ? (source?.state ?? '')
          : source.frameAgeMs === null
            ? `${source.state}, none yet`
            : `${source.state}, last ${age(source.frameAgeMs)} before`
      const rows = cameras.map((one) => [
        one.camera,
        one.state === 'revoked'
          ? 'revoked'
          : one.status === null
            ? 'never seen'
            : one.status.online
              ? 'online'
              : 'offline',
        one.healthAtMs === null ? '' : `${age(Math.max(0, nowMs - one.healthAtMs))} ago`,
        frames(one.health?.source),
        one.health === null ? '' : String(one.health.outbox.rows),
        one.status?.software ?? '',
        one.certificateExpiresAtMs === null ? '' : time(one.certificateExpiresAtMs),
      ])
      process.stdout.write(
        table(['camera', 'state', 'health', 'frames', 'waiting', 'software', 'certificate until'], rows),
      )
      process.stdout.write(alarmLines(claims))
    })

  camera
    .command('revoke')
    .description('refuse a camera from now on and end its connection')
    .argument('<name>')
    .action(async (name: string) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const path = `/api/v1/cameras/${encodeURIComponent(name)}/revoke`
      await withClient((client) => client.call(z.null(), 'POST', path))
      process.stdout.write(`${name} is revoked.\n`)
    })
}
