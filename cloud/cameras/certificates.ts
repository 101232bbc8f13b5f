/** Statements about certificates of cameras. Part of cameras.ts. */
import type { Clock } from '../../shared/clock.ts'
import type { IssuedCertificate } from '../authority.ts'
import type { Database } from '../database/database.ts'

/** `first`: nothing is beside it; the others take over: from another unit, or from the same unit's certificate of before. */
export type CertificateKind = 'first' | 'replacement' | 'renewal'

export function certificateStatements({ database: { build }, clock }: { database: Database; clock: Clock }) {
  return {
    /** Of those of the camera that are not revoked. */
    revocation: (camera: string, by: string) =>
      build
        .updateTable('camera_certificates')
        .set({ revoked_at_ms: clock.nowMs(), revoked_by: by })
        .where('camera_id', '=', camera)
        .where('revoked_at_ms', 'is', null),

    /** For a statement that must do nothing when the certificate of `fingerprint` is revoked, or only then. */
    unrevoked: (fingerprint: string) =>
      build
        .selectFrom('camera_certificates as other')
        .select('other.fingerprint')
        .where('other.fingerprint', '=', fingerprint)
        .where('other.revoked_at_ms', 'is', null),

    insertion: (camera: string, issued: IssuedCertificate, kind: CertificateKind) =>
      build.insertInto('camera_certificates').values({
        fingerprint: issued.fingerprint,
        camera_id: camera,
        serial: issued.serial,
        issued_at_ms: clock.nowMs(),
        expires_at_ms: issued.expiresAtMs,
        revoked_at_ms: null,
        revoked_by: null,
        key_sha256: issued.keySha256,
        certificate_pem: issued.certPem,
        takes_over: kind === 'first' ? 0 : 1,
        renews: kind === 'renewal' ? 1 : 0,
      }),
  }
}
