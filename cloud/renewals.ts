/**
 * Certificates of cameras before they run out. The cloud says when one is due, since a unit's clock may be wrong; the camera makes a new
 * key, asks over the connection that it has, and its next connection ends the old certificate. Called by main and ingest. Owns no table.
 */
import { type Clock, DAY_MS, HOUR_MS, SECOND_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { NewId } from '../shared/ids.ts'
import type { Log } from '../shared/log.ts'
import { cameraClientId } from '../shared/names.ts'
import type { Signer } from '../shared/signing.ts'
import { CERTIFICATE, RENEW, topics } from '../shared/topics.ts'
import type { CertificateAnswer } from '../shared/wire/index.ts'
import { CLOUD_ACTOR } from './audit/entry.ts'
import type { Audit } from './audit/log.ts'
import type { Authority } from './authority.ts'
import type { Cameras } from './cameras.ts'

/** Of a year; a unit that is away for so long still has it to come back in. */
export const RENEW_BEFORE_MS = 60 * DAY_MS
/** A camera is told again, and given another certificate, no sooner. */
export const RENEWAL_INTERVAL_MS = HOUR_MS
/** An answer that was lost is given again no sooner. */
export const ANSWER_INTERVAL_MS = 5 * SECOND_MS
/** A certificate that ends within so many days and is in use still raises an alarm; at each of them once more. */
export const EXPIRY_ALARM_DAYS = [30, 7, 1] as const

export interface Renewals {
  /** Sends a certificate to `camera` when its own is due. Rejects when the audit cannot be written. */
  answer(camera: string, requestId: string, csrPem: string): Promise<void>
  /** The same for who cannot wait; what goes wrong is logged, and the camera is told again. */
  onRequest(camera: string, requestId: string, csrPem: string): void
  /** Once a minute: tells cameras that are connected and due, and raises alarms. */
  upkeep(): Promise<void>
  /** Cameras by the smallest of EXPIRY_ALARM_DAYS within which their certificate ends; `0`: it has ended. */
  expiring(): Record<string, number>
}

export interface RenewalsDeps {
  agency: string
  cameras: Pick<Cameras, 'certificatesInUse' | 'certificateOf' | 'renew'>
  authority: Pick<Authority, 'requestKey' | 'trustedPem' | 'trustedSinceMs' | 'outlastsCamera'>
  signer: Signer
  audit: Pick<Audit, 'append'>
  publish: (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>
  isConnected: (clientId: string) => boolean
  onExpiring: (cameras: Record<string, number>) => void
  clock: Clock
  newId: NewId
  log: Log
}

/** The smallest number of days within which it ends, of those that alarm (most first); 0: it has ended; null: later. */
export function expiryAlarm(leftMs: number, alarmDays: readonly number[] = EXPIRY_ALARM_DAYS): number | null {
  if (leftMs <= 0) return 0
  return [...alarmDays].reverse().find((days) => leftMs <= days * DAY_MS) ?? null
}

export function createRenewals(deps: RenewalsDeps): Renewals {
  const { agency, cameras, authority, clock, log } = deps
  const toldMs = new Map<string, number>()
  const issuedMs = new Map<string, number>()
  const answeredMs = new Map<string, number>()
  /** The last alarm of each camera that was logged. */
  const alarmed = new Map<string, number>()

  const isDue = ({ expiresAtMs, issuedAtMs }: { expiresAtMs: number; issuedAtMs: number }) =>
    issuedAtMs < authority.trustedSinceMs ||
    (expiresAtMs - clock.nowMs() <= RENEW_BEFORE_MS && authority.outlastsCamera(expiresAtMs))
  const isSoonAfter = (times: Map<string, number>, camera: string, intervalMs: number) =>
    clock.monotonicMs() - (times.get(camera) ?? Number.NEGATIVE_INFINITY) < intervalMs

  function expiring(): Record<string, number> {
    const counted: Record<string, number> = { 0: 0 }
    for (const days of EXPIRY_ALARM_DAYS) counted[days] = 0
    for (const { expiresAtMs } of cameras.certificatesInUse()) {
      const alarm = expiryAlarm(expiresAtMs - clock.nowMs())
      if (alarm !== null) counted[alarm] = (counted[alarm] ?? 0) + 1
    }
    return counted
  }

  async function answer(camera: string, requestId: string, csrPem: string): Promise<void> {
    if (isSoonAfter(answeredMs, camera, ANSWER_INTERVAL_MS)) {
      log.warn('certificate_asked_too_often', { cameraId: camera })
      return
    }
    answeredMs.set(camera, clock.monotonicMs())
    // Before the first wait: whoever takes over meanwhile is not the unit that asked.
    const inUse = cameras.certificatesInUse().find((one) => one.camera === camera)
    const keySha256 = await authority.requestKey(csrPem)
    let certificate = await cameras.certificateOf(camera, keySha256)
    if (certificate === null) {
      if (inUse === undefined || !isDue(inUse) || isSoonAfter(issuedMs, camera, RENEWAL_INTERVAL_MS)) {
        log.warn('certificate_not_due', { cameraId: camera })
        return
      }
      issuedMs.set(camera, clock.monotonicMs())
      await deps.audit.append({
        ...{ operation: 'camera.renew', outcome: 'allowed', actor: { ...CLOUD_ACTOR, source: camera } },
        ...{ subject: { kind: 'camera', id: camera }, detail: { endsAtMs: inUse.expiresAtMs } },
      })
      await cameras.renew(camera, csrPem, inUse.fingerprint)
      certificate = await cameras.certificateOf(camera, keySha256)
      if (certificate === null) return
    }
    const answered: CertificateAnswer = {
      ...{ agency, cameraId: camera, requestId },
      ...{ certificatePem: certificate.certPem, caPem: authority.trustedPem },
    }
    const envelope = deps.signer.seal(Buffer.from(JSON.stringify(answered)))
    const topic = topics.command(agency, camera, CERTIFICATE, requestId)
    await deps.publish(topic, Buffer.from(JSON.stringify(envelope)), { qos: 0, retain: false })
  }

  return {
    answer,
    onRequest(camera, requestId, csrPem) {
      answer(camera, requestId, csrPem).catch((thrown: unknown) =>
        log.error('certificate_not_renewed', { cameraId: camera, error: toAppError(thrown).message }),
      )
    },
    async upkeep() {
      for (const one of cameras.certificatesInUse()) {
        const { camera, expiresAtMs } = one
        const alarm = expiryAlarm(expiresAtMs - clock.nowMs())
        if (alarm === null) alarmed.delete(camera)
        else if (alarmed.get(camera) !== alarm) {
          alarmed.set(camera, alarm)
          log.warn('camera_certificate_ending', { cameraId: camera, limit: alarm })
        }
        if (!isDue(one) || isSoonAfter(toldMs, camera, RENEWAL_INTERVAL_MS)) continue
        if (!deps.isConnected(cameraClientId(agency, camera))) continue
        toldMs.set(camera, clock.monotonicMs())
        const topic = topics.command(agency, camera, RENEW, deps.newId())
        await deps.publish(topic, Buffer.from('{}'), { qos: 0, retain: false })
      }
      deps.onExpiring(expiring())
    },
    expiring,
  }
}
