/** What `candor release` and `candor roll-out` ask the cloud about releases. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { MAX_RELEASE_BYTES } from '../../shared/wire/index.ts'
import { type Client, readText, unreadable } from './client.ts'
import type { Progress } from './progress.ts'

/** Sent in one request, bytes. */
const PART_BYTES = 4 * 1024 ** 2

const releaseSchema = z.object({
  version: z.string(),
  compatible: z.string(),
  sha256: z.string(),
  bytes: z.int(),
  notes: z.string().nullable(),
  addedAtMs: z.int(),
  addedBy: z.string(),
})
export type Release = z.infer<typeof releaseSchema>

/** Written by ./scripts/image beside the bundle. */
const besideSchema = z.looseObject({ version: z.string(), compatible: z.string() })

export async function fetchReleases(client: Client): Promise<Release[]> {
  const schema = z.object({ releases: z.array(releaseSchema) })
  return (await client.call(schema, 'GET', '/api/v1/releases')).releases
}

/** Throws `not_found`, `conflict` where several families of units have this version. */
export async function releaseNamed(client: Client, version: string, compatible?: string): Promise<Release> {
  const all = await fetchReleases(client)
  const named = all.filter((one) => one.version === version && (compatible ?? one.compatible) === one.compatible)
  const [found] = named
  if (found === undefined) {
    const known = all.map((one) => one.version).join(', ')
    throw new AppError('not_found', `there is no release ${version}`, {
      hint: known === '' ? 'bring one: `candor release add BUNDLE`' : `there are: ${known}`,
    })
  }
  if (named.length === 1) return found
  const families = named.map((one) => one.compatible).join(', ')
  throw new AppError('conflict', `release ${version} is there for ${families}`, { hint: 'say which: --compatible' })
}

function besides(bundle: string): { version: string; compatible: string } {
  const path = `${bundle}.json`
  try {
    return besideSchema.parse(JSON.parse(readText(path)))
  } catch (cause) {
    throw new AppError('bad_input', `${path} does not say which version the bundle is, and for which units`, {
      hint: 'give --version and --compatible',
      cause,
    })
  }
}

export async function addRelease(
  client: Client,
  bundle: string,
  options: { version?: string; compatible?: string; notes?: string },
  progress: Progress,
): Promise<Release> {
  const { size } = await stat(bundle).catch((cause: unknown) => {
    throw unreadable(bundle, cause)
  })
  if (size === 0 || size > MAX_RELEASE_BYTES)
    throw new AppError('bad_input', `${bundle} has ${size} bytes; a release has 1 to ${MAX_RELEASE_BYTES}`)
  const { version, compatible } = options
  const named =
    version === undefined || compatible === undefined
      ? { ...besides(bundle), ...given(options) }
      : { version, compatible }
  const hash = createHash('sha256')
  await pipeline(createReadStream(bundle), hash)
  const sha256 = hash.digest('hex')
  await send(client, bundle, sha256, size, progress)
  progress.show('checking', size, size)
  const json = { ...named, sha256, bytes: size, notes: options.notes ?? null }
  return client.call(releaseSchema, 'POST', '/api/v1/releases', { json })
}

const given = ({ version, compatible }: { version?: string; compatible?: string }) => ({
  ...(version === undefined ? {} : { version }),
  ...(compatible === undefined ? {} : { compatible }),
})

async function send(client: Client, bundle: string, sha256: string, size: number, progress: Progress): Promise<void> {
  const path = `/api/v1/releases/${sha256}/parts`
  const schema = z.object({ bytes: z.int() })
  let { bytes: sent } = await client.call(schema, 'GET', path)
  const file = await open(bundle, 'r')
  try {
    while (sent < size) {
      const part = Buffer.alloc(Math.min(PART_BYTES, size - sent))
      const { bytesRead } = await file.read(part, 0, part.length, sent)
      if (bytesRead === 0) throw new AppError('conflict', `${bundle} became shorter while it was sent`)
      const octets = part.subarray(0, bytesRead)
      sent = (await client.call(schema, 'PUT', `${path}?offset=${sent}`, { octets })).bytes
      progress.show('sending', sent, size, `${(sent / 1e6).toFixed(0)} of ${(size / 1e6).toFixed(0)} MB`)
    }
  } finally {
    await file.close()
  }
}
