/**
 * The file `setup-code` of a card: the first code of the set-up page and, below it, where scripts/flash wrote the file, key and certificate of the page
 * that it opens. Whoever flashed the card then knows the certificate's SHA-256 and can compare it on a pole, where a unit has no screen: else a machine in
 * between could play the page, and take the code and all that is typed there. It is as secret as the code, used with it, and removed with it. Read by
 * main.ts and scripts/unit/provision.ts.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { bareCode, shownCode } from './access.ts'
import type { PageCertificate } from './certificate.ts'

/** The unit's name in the network where it was given no other. */
export const UNIT_HOST_NAME = 'candor-unit'

export interface CodeFile {
  /** As `bareCode` gives it. */
  code: string
  /** null: one is made at the start. */
  certificate: PageCertificate | null
}

const PEM = '-----BEGIN '

/** null: what stands there is no code, or its certificate is none. */
export function parseCodeFile(text: string): CodeFile | null {
  const at = text.includes(PEM) ? text.indexOf(PEM) : text.length
  const code = bareCode(text.slice(0, at).trim())
  if (code === null) return null
  const pem = text.slice(at)
  if (pem === '') return { code, certificate: null }
  try {
    const certificate = new X509Certificate(pem.slice(pem.indexOf(`${PEM}CERTIFICATE`)))
    const key = createPrivateKey(pem)
    if (!certificate.checkPrivateKey(key)) return null
    const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
    return {
      code,
      certificate: { keyPem, certificatePem: certificate.toString(), fingerprint: certificate.fingerprint256 },
    }
  } catch {
    return null
  }
}

export const codeFileText = ({ code, certificate }: CodeFile): string =>
  [
    shownCode(code),
    ...(certificate === null ? [] : [certificate.keyPem.trim(), certificate.certificatePem.trim()]),
    '',
  ].join('\n')
