/** What opens and closes around the cloud's parts: ports with errors that say what to do, and an orderly end. Called by main. */
import type { AddressInfo, Server } from 'node:net'
import { AppError, systemCode, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'

/** Throws `configuration` when the port cannot be had. */
export function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const code = systemCode(error)
      const why =
        code === 'EADDRINUSE'
          ? 'is in use'
          : code === 'EACCES'
            ? 'may not be used by this user'
            : `cannot be used: ${error.message}`
      reject(
        new AppError('configuration', `port ${port} on ${host} ${why}`, {
          hint: 'choose another port in the configuration',
        }),
      )
    }
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

/** Of a server that listens; 0 before that. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0
}

/** One after the other; one that fails does not keep the others open. */
export async function closeAll(closing: (() => Promise<unknown>)[], log: Log): Promise<void> {
  for (const close of closing.splice(0)) {
    try {
      await close()
    } catch (thrown) {
      log.error('close_failed', { error: toAppError(thrown).message })
    }
  }
}
