/**
 * A camera's folder: key, certificate, authority, keys of the cloud and an edge.json that is ready to use. Each file is whole or absent,
 * and edge.json comes last: where it is, all is. Called by enrol.ts and by `candor camera add`.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { asWritten, checkConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import { readFileIfThere, removeIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import type { IssuedCamera } from '../../shared/wire/index.ts'
import { edgeConfigSchema } from '../config.ts'

export const KEY_FILE = 'key.pem'
export const CONFIG_FILE = 'edge.json'
/** The configuration of before the last set-up. */
export const PREVIOUS_FILE = 'edge.json.previous'
/** The digest of the claim by which the camera was enrolled: where that claim still lies about, it is known to be used up. */
export const USED_CLAIM_FILE = 'claim.used'

/** Fields of edge.json that are chosen for a unit before it is a camera; of `broker` also a part. They are checked when they become an edge.json. */
export const unitSettingsSchema = z.looseObject({
  broker: z.strictObject({ url: z.string(), keepaliveSeconds: z.number() }).partial().optional(),
})
export type UnitSettings = z.infer<typeof unitSettingsSchema>

/** The key that lies in the folder, or a new one of `make` that from now on does. Throws `conflict` when there is a camera already. */
export async function keyIn(folder: string, make: () => string): Promise<{ keyPem: string; isNew: boolean }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const config = join(folder, CONFIG_FILE)
  if ((await readFileIfThere(config)) !== null) {
    throw new AppError('conflict', `${config} is there already`, { hint: 'name another folder with --out' })
  }
  const file = join(folder, KEY_FILE)
  const there = await readFileIfThere(file)
  if (there !== null) return { keyPem: there, isNew: false }
  const keyPem = make()
  await writeFileDurably(file, keyPem)
  return { keyPem, isNew: true }
}

export const removeKey = (folder: string) => removeIfThere(join(folder, KEY_FILE))

/**
 * Everything but the key. `host`: of the cloud, for the broker's address where `settings` do not say another. `settings`: fields of edge.json that
 * were chosen for this unit, over those that the cloud says. Throws `configuration` when they would not do.
 */
export async function writeCameraFolder(
  folder: string,
  issued: IssuedCamera,
  options: { host: string; settings: UnitSettings },
): Promise<void> {
  const { unmatchedDays, matchedDays, cropDays } = issued.policy.retention
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  const config = {
    // Until a camera is chosen: pictures that somebody puts there.
    source: { kind: 'replay', path: 'frames' },
    // From its first frame on, and not only once it has been sent the signed one.
    upload: issued.policy.upload,
    unmatchedInMemory: issued.policy.unmatchedInMemory,
    retention: { unmatchedDays, matchedDays, cropDays },
    ...options.settings,
    broker: { url: `mqtts://${host}:${issued.mqttPort}`, ...options.settings.broker },
    agency: issued.agency,
    cameraId: issued.camera,
  }
  // Found out here and not on a pole.
  const written = asWritten(config)
  // The fields of a camera that is enrolled again were looked at when its own file was read, and a newer release may have written that.
  checkConfig('written' in options.settings ? written : config, edgeConfigSchema, CONFIG_FILE)
  await writeFileDurably(join(folder, 'certificate.pem'), issued.certificatePem)
  await writeFileDurably(join(folder, 'ca.pem'), issued.caPem)
  await writeFileDurably(join(folder, 'list-keys.pem'), issued.listKeysPem)
  await writeFileDurably(join(folder, 'sealing.pem'), issued.sealingPem)
  await writeFileDurably(join(folder, CONFIG_FILE), `${JSON.stringify(written, null, 2)}\n`)
}
