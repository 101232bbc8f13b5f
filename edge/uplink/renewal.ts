/**
 * A new certificate when the cloud says that it is time: a new key is made here, the request goes over the connection that is there, and
 * the signed answer is stored before anything connects with it. Called by the inbox.
 */
import { cameraRequest, newCameraKey } from '../../shared/certificate-request.ts'
import { type Clock, SECOND_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { NewId } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import type { Verifier } from '../../shared/signing.ts'
import { CERTIFICATE, topics } from '../../shared/topics.ts'
import { certificateAnswerSchema } from '../../shared/wire/index.ts'
import { openSigned } from '../hotlist/manifest.ts'
import type { Identity } from '../identity.ts'
import type { Connection } from './connection.ts'

/** Whatever it is told, a camera asks no sooner again. */
export const ASK_INTERVAL_MS = 30 * SECOND_MS

export interface RenewalDeps {
  agency: string
  cameraId: string
  verifier: Verifier
  identity: Pick<Identity, 'take'>
  clock: Pick<Clock, 'monotonicMs'>
  newId: NewId
  log: Log
}

export interface Renewal {
  /** The cloud says that it is time. */
  told(connection: Connection): void
  /** Why the answer is refused, or null. When it is stored, the connection is ended: the next one shows the new certificate. */
  take(connection: Connection, requestId: string, payload: Buffer): string | null
}

export function createRenewal(deps: RenewalDeps): Renewal {
  const { agency, cameraId, clock, log } = deps
  let asked: { id: string; keyPem: string } | null = null
  let askedAtMs = Number.NEGATIVE_INFINITY

  async function store(connection: Connection, own: { keyPem: string; certificatePem: string; caPem: string }) {
    try {
      await deps.identity.take(own)
      asked = null
      log.info('certificate_renewed')
      connection.destroy(new AppError('unavailable', 'the camera goes on with its new certificate'))
    } catch (thrown) {
      const { code, message } = toAppError(thrown)
      log.error('certificate_not_stored', { code, error: message })
    }
  }

  return {
    told(connection) {
      if (clock.monotonicMs() - askedAtMs < ASK_INTERVAL_MS) return
      askedAtMs = clock.monotonicMs()
      // The same key when no answer came, or none could be stored: the cloud gives the same certificate for it.
      asked = { id: deps.newId(), keyPem: asked?.keyPem ?? newCameraKey() }
      const request = { csrPem: cameraRequest(cameraId, asked.keyPem) }
      const topic = topics.request(agency, cameraId, CERTIFICATE, asked.id)
      connection.publish(topic, Buffer.from(JSON.stringify(request)), { qos: 1 }).catch(() => {})
    },
    take(connection, requestId, payload) {
      if (asked === null || requestId !== asked.id) return 'a certificate that was not asked for'
      try {
        const { value } = openSigned(deps.verifier, certificateAnswerSchema, payload)
        if (value.agency !== agency || value.cameraId !== cameraId || value.requestId !== requestId)
          return 'the certificate answers another request'
        const { keyPem } = asked
        void store(connection, { keyPem, certificatePem: value.certificatePem, caPem: value.caPem })
        return null
      } catch (thrown) {
        return `certificate: ${toAppError(thrown).message}`.slice(0, 200)
      }
    },
  }
}
