/** Makes a camera's folder: key and request here, certificate from the cloud, and an edge.json that is ready to use. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { newCameraRequest } from '../../cloud/authority.ts'
import { edgeConfigSchema } from '../../edge/config.ts'
import { checkConfig } from '../../shared/config.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
import type { Client } from './client.ts'

const issuedSchema = z.object({
  agency: z.string(),
  certificatePem: z.string(),
  expiresAtMs: z.int(),
  caPem: z.string(),
  listKeysPem: z.string(),
  sealingPem: z.string(),
  mqttPort: z.int(),
  policy: z.object({
    upload: z.string(),
    unmatchedInMemory: z.boolean(),
    retention: z.object({ unmatchedDays: z.number(), matchedDays: z.number(), cropDays: z.number() }),
  }),
})

/** Throws `conflict` when the folder holds a camera already. A key whose certificate is refused is removed again. */
export async function enrol(
  client: Client,
  verb: 'add' | 'replace',
  name: string,
  options: { out: string; broker?: string; frames: string },
): Promise<{ folder: string; expiresAtMs: number }> {
  const folder = options.out
  const { keyPem, csrPem } = await newCameraRequest(name)
  const keyFile = join(folder, 'key.pem')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    await writeFile(keyFile, keyPem, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw cause
    throw new AppError('conflict', `${keyFile} is there already`, { hint: 'name another folder with --out', cause })
  }
  try {
    const issued =
      verb === 'add'
        ? await client.call(issuedSchema, 'POST', '/api/v1/cameras', { json: { camera: name, csrPem } })
        : await client.call(issuedSchema, 'POST', `/api/v1/cameras/${encodeURIComponent(name)}/replace`, {
            json: { csrPem },
          })
    const url = options.broker ?? `mqtts://${new URL(client.url).hostname}:${issued.mqttPort}`
    const config = {
      agency: issued.agency,
      cameraId: name,
      broker: { url },
      source: { kind: 'replay', path: options.frames },
      // From its first frame on, and not only once it has been sent the signed one.
      ...issued.policy,
    }
    // Found out here and not on a pole.
    checkConfig(config, edgeConfigSchema, 'edge.json')
    await writeFile(join(folder, 'certificate.pem'), issued.certificatePem)
    await writeFile(join(folder, 'ca.pem'), issued.caPem)
    await writeFile(join(folder, 'list-keys.pem'), issued.listKeysPem)
    await writeFile(join(folder, 'sealing.pem'), issued.sealingPem)
    await writeFile(join(folder, 'edge.json'), `${JSON.stringify(config, null, 2)}\n`)
    return { folder, expiresAtMs: issued.expiresAtMs }
  } catch (thrown) {
    await rm(keyFile, { force: true })
    throw thrown
  }
}
