import type { Migration } from '../migrate.ts'

/** Tells a certificate that a unit renewed from one that another unit was given in its place: one must not end the other. */
export const renewedCertificates: Migration = {
  number: 47,
  name: 'renewed-certificates',
  sql: `
    ALTER TABLE camera_certificates ADD COLUMN renews INTEGER NOT NULL DEFAULT 0;
    -- Those that nobody has used yet; without the request of a claim they can only be renewals.
    UPDATE camera_certificates SET renews = 1
    WHERE takes_over = 1 AND NOT EXISTS (
      SELECT 1 FROM camera_claims
      WHERE camera_claims.camera_id = camera_certificates.camera_id
        AND camera_claims.key_sha256 = camera_certificates.key_sha256
    );
  `,
}
