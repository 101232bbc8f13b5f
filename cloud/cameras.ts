/**
 * Registered cameras: their certificates, what they last said of themselves, and what they acknowledged. The broker asks
 * `identify` at every connection and disconnects on `onRevoked`. Owns tables cameras, camera_certificates and camera_acks.
 */
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { slugSchema } from '../shared/names.ts'
import type { CameraHealth, CameraStatus, HotlistAck, PolicyAck, SigningKeysAck } from '../shared/wire/index.ts'
import type { Authority, IssuedCertificate } from './authority.ts'
import { type CertificateKind, certificateStatements } from './cameras/certificates.ts'
import { createSaid } from './cameras/said.ts'
import { shownBy } from './cameras/shown.ts'
import type { Database } from './database/database.ts'

/** The largest deployments have some hundreds. */
export const MAX_CAMERAS = 10_000

export type IdentifyRefusal = 'no_certificate' | 'not_a_camera' | 'other_agency' | 'unknown' | 'revoked' | 'expired'
export type Identified =
  /** `takesOver`: it may connect once `takeOver` has ended the rights of the camera's other certificates. */
  | { ok: true; camera: string; fingerprint: string; expiresAtMs: number; takesOver: boolean }
  /** `camera`: registered here, as far as the certificate can be believed. */
  | { ok: false; reason: IdentifyRefusal; camera: string | null }

export interface CameraAck {
  subject: string
  version: number
  digest: string | null
  result: 'applied' | 'refused'
  reason: string | null
  atMs: number
}

export interface Camera {
  camera: string
  state: 'active' | 'revoked'
  addedAtMs: number
  addedBy: string
  certificateExpiresAtMs: number | null
  /** The last status, and when it came; null: never connected. */
  status: CameraStatus | null
  statusAtMs: number | null
  health: CameraHealth | null
  healthAtMs: number | null
  acks: CameraAck[]
}

export interface Cameras {
  /**
   * Who shows this certificate. TLS must have checked already that our authority signed it and that the peer holds its key;
   * this checks that it is a camera's, of this agency, registered, not revoked and not expired. Synchronous.
   */
  identify(peer: { raw?: Buffer } | null | undefined): Identified
  /** Throws `conflict` for a name in use (also one revoked: see replace), `bad_input` for a name or request. */
  add(camera: string, csrPem: string, by: string): Promise<IssuedCertificate>
  /** A new certificate under the same name; the old ones are revoked at once. Throws `not_found`. */
  replace(camera: string, csrPem: string, by: string): Promise<IssuedCertificate>
  /**
   * What an approved claim gives: a new camera, or with `replaces` a certificate beside the old ones, which takes over at its first
   * connection. The same key is given the same certificate again. Throws as `add` and `replace`.
   */
  enrol(claim: { camera: string; csrPem: string; keySha256: string; replaces: boolean; by: string }): Promise<void>
  /**
   * A certificate over a new key for the unit that uses the one of `fingerprint`, which it takes over from; an approved replacement of the
   * unit stays. Throws `conflict` when that one is not in use, or ends meanwhile.
   */
  renew(camera: string, csrPem: string, fingerprint: string): Promise<void>
  /** Cameras with the end of the certificate that they use, and when that was issued; not those that are revoked. */
  certificatesInUse(): { camera: string; fingerprint: string; expiresAtMs: number; issuedAtMs: number }[]
  /** The certificate over this key; null: there is none, or it is revoked. */
  certificateOf(
    camera: string,
    keySha256: string,
  ): Promise<{ certPem: string; serial: string; expiresAtMs: number } | null>
  /**
   * From now on the camera's other certificates are refused, and connections that showed them must be ended; only a replacement that
   * has not connected yet survives a renewal. Throws `conflict` when it is revoked.
   */
  takeOver(camera: string, fingerprint: string): Promise<void>
  /** Revokes all certificates of the camera. Throws `not_found`. */
  revoke(camera: string, by: string): Promise<void>
  /** Called when certificates are revoked; a connection that shows one of them must be ended. */
  onRevoked(listener: (camera: string) => void): void
  /** Called when one certificate has taken over; connections that are there showed another. */
  onTakenOver(listener: (camera: string) => void): void
  list(): Promise<Camera[]>
  /** Cameras that are not revoked, and how many of them say to be online. */
  counts(): Promise<{ registered: number; online: number }>
  isRegistered(camera: string): boolean
  /** An `offline` of another session than the current one is ignored: a late Will must not hide a newer connection. */
  recordStatus(status: CameraStatus): Promise<void>
  recordHealth(health: CameraHealth): Promise<void>
  /**
   * `subject` is `hotlists/{list}`, `policy` or `signing-keys`. false: not recorded, because the camera named more subjects than there can be
   * (no error: whatever a camera says must not fail the transaction that it arrives in).
   */
  recordAck(camera: string, subject: string, ack: HotlistAck | PolicyAck | SigningKeysAck): Promise<boolean>
}

export interface CamerasDeps {
  database: Database
  authority: Authority
  agency: string
  clock: Clock
}

interface KnownCertificate {
  camera: string
  fingerprint: string
  issuedAtMs: number
  expiresAtMs: number
  revoked: boolean
  takesOver: boolean
  renews: boolean
}

export async function createCameras(deps: CamerasDeps): Promise<Cameras> {
  const { database, authority, agency, clock } = deps
  const { build } = database
  const { revocation, insertion, unrevoked } = certificateStatements({ database, clock })
  const listeners: ((camera: string) => void)[] = []
  const takeOverListeners: ((camera: string) => void)[] = []
  /** Counted up when a camera's certificates are revoked: what was being issued meanwhile must not outlive that. */
  const revocations = new Map<string, number>()
  /** Fingerprint → certificate. A copy of the table, so that a connection needs no query. */
  const certificates = new Map<string, KnownCertificate>()
  const names = new Set<string>()

  for (const row of await database.read(build.selectFrom('cameras').select('camera_id'))) names.add(row.camera_id)
  for (const row of await database.read(build.selectFrom('camera_certificates').selectAll())) {
    certificates.set(row.fingerprint, {
      ...{ camera: row.camera_id, fingerprint: row.fingerprint },
      ...{ issuedAtMs: row.issued_at_ms, expiresAtMs: row.expires_at_ms, revoked: row.revoked_at_ms !== null },
      ...{ takesOver: row.takes_over === 1, renews: row.renews === 1 },
    })
  }

  function remember(camera: string, { expiresAtMs, fingerprint }: IssuedCertificate, kind: CertificateKind): void {
    names.add(camera)
    certificates.set(fingerprint, {
      ...{ camera, fingerprint, issuedAtMs: clock.nowMs(), expiresAtMs, revoked: false },
      ...{ takesOver: kind !== 'first', renews: kind === 'renewal' },
    })
  }

  function forget(camera: string): void {
    for (const known of certificates.values()) if (known.camera === camera) known.revoked = true
    for (const listener of listeners) listener(camera)
  }

  /** By camera; one that has yet to take over only where there is no other. */
  function inUse(): Map<string, KnownCertificate> {
    const found = new Map<string, KnownCertificate>()
    for (const known of certificates.values())
      if (!known.revoked && !(known.takesOver && found.has(known.camera))) found.set(known.camera, known)
    return found
  }

  const revocationsOf = (camera: string) => revocations.get(camera) ?? 0
  const countRevocation = (camera: string) => revocations.set(camera, revocationsOf(camera) + 1)

  /** A replacement beside what the camera has; one that was issued so and never used goes. */
  async function issueReplacement(camera: string, csrPem: string, by: string): Promise<void> {
    if (!names.has(camera)) throw new AppError('not_found', `there is no camera ${camera}`)
    const before = revocationsOf(camera)
    const issued = await authority.issueCamera(camera, csrPem)
    // A revocation that begins now is written after this.
    if (revocationsOf(camera) !== before) throw new AppError('conflict', `${camera} was revoked meanwhile`)
    await database.writeBatch([
      revocation(camera, by).where('takes_over', '=', 1).where('renews', '=', 0),
      insertion(camera, issued, 'replacement'),
      restoration(camera),
    ])
    for (const known of certificates.values())
      if (known.camera === camera && known.takesOver && !known.renews) known.revoked = true
    remember(camera, issued, 'replacement')
  }

  const restoration = (camera: string) =>
    build.updateTable('cameras').set({ revoked_at_ms: null }).where('camera_id', '=', camera)

  async function certificateOf(camera: string, keySha256: string) {
    const [row] = await database.read(
      build
        .selectFrom('camera_certificates')
        .selectAll()
        .where('camera_id', '=', camera)
        .where('key_sha256', '=', keySha256)
        .where('revoked_at_ms', 'is', null),
    )
    if (row === undefined || row.certificate_pem === null) return null
    return { certPem: row.certificate_pem, serial: row.serial, expiresAtMs: row.expires_at_ms }
  }

  async function add(camera: string, csrPem: string, by: string): Promise<IssuedCertificate> {
    if (!slugSchema.safeParse(camera).success) {
      throw new AppError('bad_input', 'a camera name must be 1-32 of a-z, 0-9 and -')
    }
    if (names.size >= MAX_CAMERAS)
      throw new AppError('too_large', `there are ${MAX_CAMERAS} cameras, the most there may be`)
    if (names.has(camera)) {
      throw new AppError('conflict', `there is a camera ${camera} already`, {
        hint: 'give it a new certificate with `candor camera replace`',
      })
    }
    // Taken before the first await, so that two requests at once cannot both have the name.
    names.add(camera)
    try {
      const issued = await authority.issueCamera(camera, csrPem)
      await database.writeBatch([
        build.insertInto('cameras').values({ camera_id: camera, added_at_ms: clock.nowMs(), added_by: by }),
        insertion(camera, issued, 'first'),
      ])
      remember(camera, issued, 'first')
      return issued
    } catch (thrown) {
      names.delete(camera)
      throw thrown
    }
  }

  return {
    identify(peer) {
      const shown = shownBy(peer)
      const refused = (reason: IdentifyRefusal, camera: string | null = null) =>
        ({ ok: false, reason, camera }) as const
      if (!shown.ok) return refused(shown.reason)
      const { camera, fingerprint } = shown
      if (shown.agency !== agency) return refused('other_agency')
      const known = certificates.get(fingerprint)
      if (known === undefined || known.camera !== camera) return refused('unknown')
      if (known.revoked) return refused('revoked', camera)
      const { expiresAtMs, takesOver } = known
      if (clock.nowMs() >= expiresAtMs) return refused('expired', camera)
      return { ok: true, camera, fingerprint, expiresAtMs, takesOver }
    },

    add,

    async replace(camera, csrPem, by) {
      if (!names.has(camera)) throw new AppError('not_found', `there is no camera ${camera}`)
      countRevocation(camera)
      const issued = await authority.issueCamera(camera, csrPem)
      await database.writeBatch([revocation(camera, by), insertion(camera, issued, 'first'), restoration(camera)])
      forget(camera)
      remember(camera, issued, 'first')
      return issued
    },

    async enrol({ camera, csrPem, keySha256, replaces, by }) {
      // A crash may have come between this and what the caller writes down of it.
      if ((await certificateOf(camera, keySha256)) !== null) return
      if (replaces) await issueReplacement(camera, csrPem, by)
      else await add(camera, csrPem, by)
    },

    async renew(camera, csrPem, fingerprint) {
      const isOver = () => new AppError('conflict', `the unit that renews is not ${camera} any more`)
      const own = inUse().get(camera)
      if (own === undefined || own.takesOver || own.fingerprint !== fingerprint) throw isOver()
      const issued = await authority.issueCamera(camera, csrPem)
      // What the unit shows may end at any moment: the table says whether it has.
      const [, , undone] = await database.writeBatch([
        revocation(camera, camera)
          .where('takes_over', '=', 1)
          .where('renews', '=', 1)
          .where(({ exists }) => exists(unrevoked(fingerprint))),
        insertion(camera, issued, 'renewal'),
        revocation(camera, camera)
          .where('fingerprint', '=', issued.fingerprint)
          .where(({ not, exists }) => not(exists(unrevoked(fingerprint)))),
      ])
      if (undone?.changes !== 0) throw isOver()
      for (const known of certificates.values())
        if (known.camera === camera && known.takesOver && known.renews) known.revoked = true
      remember(camera, issued, 'renewal')
    },

    certificatesInUse: () =>
      [...inUse().values()].map(({ camera, fingerprint, expiresAtMs, issuedAtMs }) => ({
        ...{ camera, fingerprint, expiresAtMs, issuedAtMs },
      })),

    certificateOf,

    async takeOver(camera, fingerprint) {
      const own = certificates.get(fingerprint)
      // A second connection at the same time: it is done.
      if (own?.revoked === false && !own.takesOver) return
      // Who renews is not asked whether another unit may come in its place.
      const keepsReplacement = own?.renews === true
      const others = revocation(camera, camera)
        .where('fingerprint', '!=', fingerprint)
        .where(({ exists }) => exists(unrevoked(fingerprint)))
      const [taken] = await database.writeBatch([
        build
          .updateTable('camera_certificates')
          .set({ takes_over: 0 })
          .where('fingerprint', '=', fingerprint)
          .where('revoked_at_ms', 'is', null),
        keepsReplacement ? others.where(({ or, eb }) => or([eb('takes_over', '=', 0), eb('renews', '=', 1)])) : others,
      ])
      if (taken?.changes !== 1 || own === undefined || own.revoked) {
        throw new AppError('conflict', `the certificate of ${camera} was revoked meanwhile`)
      }
      own.takesOver = false
      for (const known of certificates.values()) {
        const isKept = known === own || (keepsReplacement && known.takesOver && !known.renews)
        if (known.camera === camera && !isKept) known.revoked = true
      }
      for (const listener of takeOverListeners) listener(camera)
    },

    async revoke(camera, by) {
      if (!names.has(camera)) throw new AppError('not_found', `there is no camera ${camera}`)
      countRevocation(camera)
      await database.writeBatch([
        revocation(camera, by),
        build
          .updateTable('cameras')
          .set({ revoked_at_ms: clock.nowMs() })
          .where('camera_id', '=', camera)
          .where('revoked_at_ms', 'is', null),
      ])
      forget(camera)
    },

    onRevoked(listener) {
      listeners.push(listener)
    },

    onTakenOver(listener) {
      takeOverListeners.push(listener)
    },

    async list() {
      const rows = await database.read(build.selectFrom('cameras').selectAll().orderBy('camera_id'))
      const acks = await database.read(build.selectFrom('camera_acks').selectAll().orderBy('subject'))
      const byCamera = new Map<string, CameraAck[]>()
      for (const row of acks) {
        const ack: CameraAck = {
          subject: row.subject,
          version: row.version,
          digest: row.digest,
          result: row.result === 'applied' ? 'applied' : 'refused',
          reason: row.reason,
          atMs: row.at_ms,
        }
        byCamera.set(row.camera_id, [...(byCamera.get(row.camera_id) ?? []), ack])
      }
      const certificateOfCamera = inUse()
      return rows.map((row) => ({
        camera: row.camera_id,
        state: row.revoked_at_ms === null ? ('active' as const) : ('revoked' as const),
        addedAtMs: row.added_at_ms,
        addedBy: row.added_by,
        certificateExpiresAtMs: certificateOfCamera.get(row.camera_id)?.expiresAtMs ?? null,
        status: row.status === null ? null : (JSON.parse(row.status) as CameraStatus),
        statusAtMs: row.status_at_ms,
        health: row.health === null ? null : (JSON.parse(row.health) as CameraHealth),
        healthAtMs: row.health_at_ms,
        acks: byCamera.get(row.camera_id) ?? [],
      }))
    },

    async counts() {
      const rows = await database.read(build.selectFrom('cameras').select('status').where('revoked_at_ms', 'is', null))
      const online = rows.filter((row) => row.status !== null && (JSON.parse(row.status) as CameraStatus).online)
      return { registered: rows.length, online: online.length }
    },

    isRegistered: (camera) => names.has(camera),

    ...createSaid({ database, clock }),
  }
}
