/**
 * Bounds on the connections of a server, counted from the first byte: who never finishes a TLS handshake holds a descriptor too.
 * Used by the broker and by the HTTPS server, each with its own count.
 */

import type { Duplex } from 'node:stream'
import type { Server as TlsServer } from 'node:tls'
import { SECOND_MS } from '../shared/clock.ts'

export interface ConnectionLimits {
  /** A TLS handshake, or an MQTT CONNECT, that takes longer is cut off, milliseconds. */
  connectTimeoutMs: number
  /** At once, in whatever state. */
  maxConnections: number
  /** From one address; a department behind one router, or a bench, stays below. */
  maxPerAddress: number
  /** Requests over HTTP from one address in a minute; a department behind one router stays below. */
  maxRequestsPerMinute: number
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  connectTimeoutMs: 10 * SECOND_MS,
  maxConnections: 5_000,
  maxPerAddress: 1_000,
  maxRequestsPerMinute: 3_000,
}

/** TLS 1.2 and later with AES-GCM [CJIS 5.9.5, SC-8, SC-13]. */
export const CIPHERS =
  'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256'

export interface Admission {
  /** false: there are too many, and the socket is destroyed. */
  admit(socket: Duplex, address: string): boolean
  /** Destroys every socket that was admitted, and from now on those that come. */
  close(): void
}

export function createAdmission(limits: ConnectionLimits, onRefused: (address: string) => void): Admission {
  const perAddress = new Map<string, number>()
  const sockets = new Set<Duplex>()
  let closing = false
  return {
    admit(socket, address) {
      const fromAddress = perAddress.get(address) ?? 0
      if (closing || sockets.size >= limits.maxConnections || fromAddress >= limits.maxPerAddress) {
        if (!closing) onRefused(address)
        socket.destroy()
        return false
      }
      sockets.add(socket)
      perAddress.set(address, fromAddress + 1)
      socket.once('close', () => {
        sockets.delete(socket)
        const left = (perAddress.get(address) ?? 1) - 1
        if (left <= 0) perAddress.delete(address)
        else perAddress.set(address, left)
      })
      return true
    },
    close() {
      closing = true
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Node.js only tells of a handshake that failed or took too long; the socket stays open. */
export function endFailedHandshakes(server: TlsServer, onFailed: (error: Error) => void): void {
  server.on('tlsClientError', (error, socket) => {
    onFailed(error)
    socket.destroy()
  })
}
