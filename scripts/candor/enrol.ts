/** Makes a camera's folder on this machine: key and request here, certificate from the cloud. For `camera add` and `camera replace`. */
import { keyIn, removeKey, writeCameraFolder } from '../../edge/enrolment/folder.ts'
import { cameraRequest, newCameraKey } from '../../shared/certificate-request.ts'
import { AppError } from '../../shared/errors.ts'
import { issuedCameraSchema } from '../../shared/wire/index.ts'
import type { Client } from './client.ts'
import { chosenSettings } from './options.ts'

/** Throws `conflict` when the folder holds a camera already. A key whose certificate is refused is removed again. */
export async function enrol(
  client: Client,
  verb: 'add' | 'replace',
  name: string,
  options: { out: string; broker?: string; frames: string },
): Promise<{ folder: string; expiresAtMs: number }> {
  const folder = options.out
  const { keyPem, isNew } = await keyIn(folder, newCameraKey)
  if (!isNew)
    throw new AppError('conflict', `a key is in ${folder} already`, { hint: 'name another folder with --out' })
  const csrPem = cameraRequest(name, keyPem)
  try {
    const issued =
      verb === 'add'
        ? await client.call(issuedCameraSchema, 'POST', '/api/v1/cameras', { json: { camera: name, csrPem } })
        : await client.call(issuedCameraSchema, 'POST', `/api/v1/cameras/${encodeURIComponent(name)}/replace`, {
            json: { csrPem },
          })
    const host = new URL(client.url).hostname.replace(/^\[|\]$/g, '')
    await writeCameraFolder(folder, issued, {
      host,
      settings: chosenSettings(options),
    })
    return { folder, expiresAtMs: issued.expiresAtMs }
  } catch (thrown) {
    await removeKey(folder)
    throw thrown
  }
}
