/**
 * Does the broker take this camera? TLS by the pinned authority and, where asked, a greeting in MQTT 3.1.1 with the camera's own name, which
 * is all that shows whether its certificate is accepted. Certificate and authority are those that the camera itself would use now, which may
 * be newer than what it was enrolled with. Written out: 20 bytes there and 4 back. Called by checks.ts.
 */
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../shared/clock.ts'
import { SECOND_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import { silentLog } from '../shared/log.ts'
import { type OwnIdentity, seenIdentities } from './identity.ts'
import { openTls, serverProblem, untrusted } from './server-trust.ts'

export interface BrokerCheckOptions {
  broker: { url: string; caFile: string; certificateFile: string; keyFile: string }
  agency: string
  cameraId: string
  /** Of the camera, where what it was given since its enrolment lies. */
  dataFolder: string
  clock: Clock
  /** Whether the certificate's dates can be held against the unit's clock. */
  isClockTrusted: boolean
  /**
   * Connect as the camera: it takes the place of one that runs, and a replaced unit's rights end with it. Else only the server is looked
   * at.
   */
  asCamera: boolean
}

/** From the greeting to its answer, milliseconds. */
const ANSWER_MS = 10 * SECOND_MS
/** CONNACK's codes [MQTT 3.1.1, 3.2.2.3]. */
const REFUSALS: Readonly<Record<number, string>> = {
  1: 'it speaks another version of MQTT',
  2: 'it refuses the name of the camera',
  3: 'it is not available',
  4: 'it refuses the camera’s credentials',
  5: 'it refuses the camera’s certificate',
}
const [CONNECT, CONNACK, DISCONNECT] = [0x10, 0x20, 0xe0]
const KEEP_ALIVE_SECONDS = 10

/**
 * Says what it found; `isChecked` false: that what this process can see of the camera does not do, and what the camera itself has may. Throws
 * `unauthenticated`, `forbidden` or `unavailable`.
 */
export async function openAndGreet(options: BrokerCheckOptions): Promise<{ isChecked: boolean; detail: string }> {
  const { identities, hidden } = await seenIdentities({ ...options, log: silentLog })
  let refusal: unknown
  // As the camera does: the newest may be one that the cloud knows nothing of.
  for (const own of identities) {
    try {
      return { isChecked: true, detail: await tryWith(own, options) }
    } catch (thrown) {
      const { code } = toAppError(thrown)
      if (code !== 'unauthenticated' && code !== 'forbidden') throw thrown
      refusal ??= thrown
    }
  }
  if (hidden === null) throw refusal
  const { message } = toAppError(refusal)
  return {
    isChecked: false,
    detail: `not checked: by what the unit was enrolled with, ${message}; whether the camera has a newer certificate cannot be seen from here (${hidden})`,
  }
}

async function tryWith({ caPem, certificatePem, keyPem }: OwnIdentity, options: BrokerCheckOptions): Promise<string> {
  const { broker, agency, cameraId, clock } = options
  const url = new URL(broker.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 8_883 : Number(url.port)
  const { socket, certificate } = await openTls({ host, port }, { key: keyPem, cert: certificatePem })
  try {
    const atMs = options.isClockTrusted ? clock.nowMs() : null
    const problem = serverProblem(certificate, { caPem, host, atMs })
    if (problem !== null) throw untrusted(problem)
    if (!options.asCamera) return `${host}:${port} is the agency’s`
    await greet(socket, `${agency}.${cameraId}`, clock)
    return `${host}:${port} takes this camera`
  } finally {
    socket.destroy()
  }
}

/** Keeps the session that the broker has for the camera (clean session 0): lists that wait in it still arrive. */
function greeting(clientId: string): Buffer {
  const name = Buffer.from(clientId)
  const body = Buffer.concat([
    Buffer.from([0, 4]),
    Buffer.from('MQTT'),
    Buffer.from([4, 0, 0, KEEP_ALIVE_SECONDS, 0, name.length]),
    name,
  ])
  return Buffer.concat([Buffer.from([CONNECT, body.length]), body])
}

function greet(socket: TLSSocket, clientId: string, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = new AbortController()
    const fail = (code: 'forbidden' | 'unavailable', message: string) => {
      timer.abort()
      reject(new AppError(code, message))
    }
    clock.sleep(ANSWER_MS, timer.signal).then(
      () => fail('unavailable', 'the broker does not answer'),
      () => {},
    )
    socket.on('error', (error) => fail('unavailable', error.message))
    // Refused certificates are told of behind the handshake [RFC 8446, 4.4.2.4], or by hanging up.
    socket.once('close', () => fail('forbidden', 'the broker hangs up: it does not take the camera’s certificate'))
    socket.once('data', (bytes: Buffer) => {
      if (bytes[0] !== CONNACK) return fail('unavailable', 'what answers is no broker')
      const code = bytes[3] ?? 0
      if (code !== 0) return fail('forbidden', `the broker answers: ${REFUSALS[code] ?? `refusal ${code}`}`)
      timer.abort()
      socket.end(Buffer.from([DISCONNECT, 0]))
      resolve()
    })
    socket.write(greeting(clientId))
  })
}
