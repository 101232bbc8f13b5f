/** What a certificate that a connection shows says of itself. TLS has checked who signed it, and that its key is there. */
import { X509Certificate } from 'node:crypto'
import { parseCameraUrn } from '../../shared/names.ts'

export type Shown =
  | { ok: true; agency: string; camera: string; fingerprint: string }
  | { ok: false; reason: 'no_certificate' | 'not_a_camera' }

export function shownBy(peer: { raw?: Buffer } | null | undefined): Shown {
  const raw = peer?.raw
  if (raw === undefined) return { ok: false, reason: 'no_certificate' }
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(raw)
  } catch {
    return { ok: false, reason: 'no_certificate' }
  }
  const urn = /(?:^|, )URI:([^,]+)/.exec(certificate.subjectAltName ?? '')?.[1]
  const named = urn === undefined ? null : parseCameraUrn(urn)
  if (named === null) return { ok: false, reason: 'not_a_camera' }
  return { ok: true, ...named, fingerprint: certificate.fingerprint256 }
}
