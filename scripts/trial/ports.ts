/**
 * Ports for servers of trials and benches that are ended and started again on the same port. Used where port 0 will not do: the
 * system hands such ports to outgoing connections as well, so that a client that tries again could hold the port of the very server
 * it waits for.
 */
import { createServer } from 'node:net'
import { AppError, systemCode } from '../../shared/errors.ts'
import { random } from '../../shared/ids.ts'

/** Below what Linux takes for outgoing connections (net.ipv4.ip_local_port_range, from 32768), above the well-known ones. */
const FIRST_PORT = 18_000
const LAST_PORT = 31_999
const MAX_TRIES = 100

/** A TCP port of the loopback address that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
    const port = FIRST_PORT + Math.floor(random() * (LAST_PORT - FIRST_PORT + 1))
    if (await isFree(port)) return port
  }
  throw new AppError('unavailable', `no free port found from ${FIRST_PORT} to ${LAST_PORT}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => {
      if (systemCode(error) === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
