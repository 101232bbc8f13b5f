/** What `candor camera claim`, `approve` and their like ask of the cloud; the commands are in claim.ts. */
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { AppError, systemCode } from '../../shared/errors.ts'
import { type ClaimFile, claimFileSchema } from '../../shared/wire/index.ts'
import { withClient } from './client.ts'
import { printJson, table, time } from './terminal.ts'

const claimSchema = z.looseObject({
  camera: z.string(),
  site: z.string().nullable(),
  replaces: z.boolean(),
  state: z.string(),
  madeAtMs: z.int(),
  madeBy: z.string(),
  expiresAtMs: z.int(),
  fingerprint: z.string().nullable(),
  source: z.string().nullable(),
  misuses: z.int(),
  misusedAtMs: z.int().nullable(),
  alarm: z.boolean(),
})
type Claim = z.infer<typeof claimSchema>
const madeSchema = z.object({ claim: claimSchema, code: z.string(), agency: z.string(), caPem: z.string() })

/** What to do about claims that a second key has used; empty when there are none. */
export function alarmLines(claims: readonly Claim[]): string {
  return claims
    .filter(({ alarm }) => alarm)
    .map(
      ({ camera, misuses, misusedAtMs }) =>
        `ALARM: the claim for ${camera} was used by another key ${misuses === 1 ? 'once' : `${misuses} times`}, last at ${time(misusedAtMs ?? 0)}.\n` +
        `  Somebody else had the code. Find out who; \`candor camera claim-revoke ${camera}\` ends the alarm.\n`,
    )
    .join('')
}

export const fetchClaims = () =>
  withClient((client) => client.call(z.object({ claims: z.array(claimSchema) }), 'GET', '/api/v1/claims'))

export interface ClaimOptions {
  site?: string
  hours?: number
  replace?: boolean
  out?: string
}

export const post = (name: string, verb: string, json?: unknown) =>
  withClient((client) =>
    client.call(
      claimSchema,
      'POST',
      `/api/v1/claims/${encodeURIComponent(name)}/${verb}`,
      json === undefined ? {} : { json },
    ),
  )

export async function makeClaim(name: string, options: ClaimOptions): Promise<void> {
  const { url, made } = await withClient(async (client) => {
    const json = { camera: name, site: options.site ?? null, hours: options.hours, replaces: options.replace === true }
    return { url: client.url, made: await client.call(madeSchema, 'POST', '/api/v1/claims', { json }) }
  })
  const { claim, code, agency, caPem } = made
  const until = `good until ${time(claim.expiresAtMs)}, for one unit`
  if (options.out === undefined) {
    const pin = new X509Certificate(caPem).fingerprint256.replaceAll(':', '').toLowerCase()
    process.stdout.write(
      `${code}\n\nClaim for ${name}, ${until}. On the unit:\n` +
        `  candor enrol --claim ${code} --cloud ${new URL(url).origin} \\\n    --ca-sha256 ${pin} --out FOLDER\n`,
    )
    return
  }
  const { madeAtMs } = claim
  const file: ClaimFile = { candorClaim: 1, cloud: new URL(url).origin, agency, camera: name, code, caPem, madeAtMs }
  try {
    await writeFile(options.out, `${JSON.stringify(claimFileSchema.parse(file), null, 2)}\n`, {
      mode: 0o600,
      flag: 'wx',
    })
  } catch (cause) {
    // Nobody has the code now, and nobody needs it.
    await post(name, 'revoke')
    const isThere = systemCode(cause) === 'EEXIST'
    throw new AppError(
      isThere ? 'conflict' : 'bad_input',
      `${options.out} ${isThere ? 'is there already' : 'cannot be written'}`,
      {
        hint: 'the claim was ended again; name another file with --out',
        cause,
      },
    )
  }
  process.stdout.write(
    `${options.out}: claim for ${name}, ${until}. On the unit:\n  candor enrol --claim FILE --out FOLDER\n`,
  )
}

export async function listClaims(states: readonly string[], asJson: boolean): Promise<void> {
  const { claims } = await fetchClaims()
  const shown = claims.filter(({ state, alarm }) => states.includes(state) || alarm)
  if (asJson) return printJson(shown)
  const rows = shown.map((one) => [
    one.camera,
    one.replaces ? `${one.state} (replaces)` : one.state,
    one.fingerprint ?? '',
    one.site ?? '',
    one.madeBy,
    time(one.expiresAtMs),
    one.source ?? '',
  ])
  process.stdout.write(table(['camera', 'state', 'fingerprint', 'site', 'made by', 'until', 'from'], rows))
  process.stdout.write(alarmLines(shown))
}
