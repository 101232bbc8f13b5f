/** The server's own certificate, renewed in time and given to the servers that run. Called by main, once a minute. */
import type { Server as TlsServer } from 'node:tls'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { secureContext } from './api/api.ts'
import type { Authority } from './authority.ts'
import type { Broker } from './broker.ts'
import type { Metrics } from './metrics.ts'

export function createServerRenewal(deps: {
  authority: Authority
  broker: Pick<Broker, 'renew'>
  httpsServer: unknown
  metrics: Pick<Metrics, 'serverCertificate'>
  log: Log
}): () => Promise<void> {
  const { authority, log } = deps
  return async () => {
    try {
      if (await authority.renewServer()) {
        deps.broker.renew({ key: authority.serverKeyPem, cert: authority.serverCertPem })
        ;(deps.httpsServer as TlsServer).setSecureContext(secureContext({ authority }))
        log.info('server_certificate_renewed')
      }
    } catch (thrown) {
      // On a full disk perhaps, and then nothing but the purge makes room: it must not wait for this.
      const error = toAppError(thrown)
      log.error('server_certificate_not_renewed', { code: error.code, error: error.message })
    }
    deps.metrics.serverCertificate(authority.serverExpiresAtMs)
  }
}
