/** The authorities that certificates of others may be of (receivers, the provider of log-ins): the public ones that Node.js brings, and the agency's own file. */
import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { AppError } from '../../shared/errors.ts'
import { readFileIfThere } from '../../shared/secret-file.ts'

/** Null: those of Node.js alone. `field` names the file in the configuration. Throws `configuration` for a file that is missing or holds something else. */
export async function readAuthorities(path: string | null, field = 'webhookCaFile'): Promise<string[] | null> {
  if (path === null) return null
  const own = (await readFileIfThere(path))?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (own.length === 0) throw new AppError('configuration', `${field}: no certificate in ${path}`)
  for (const [i, pem] of own.entries()) {
    try {
      new X509Certificate(pem)
    } catch (cause) {
      throw new AppError('configuration', `${field}: certificate ${i + 1} of ${path} cannot be read`, { cause })
    }
  }
  return [...rootCertificates, ...own]
}
