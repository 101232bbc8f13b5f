/**
 * From a claim to a camera: a key that is made here and stays here, a request with the claim, and patience until somebody has approved.
 * Cut short anywhere, it goes on with the same key when it is run again. Called by `candor enrol`, the set-up page and again.ts.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cameraRequest, keyDigest, newCameraKey, shortFingerprint } from '../../shared/certificate-request.ts'
import { claimDigest, parseClaimCode } from '../../shared/claim-code.ts'
import { type Clock, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError, systemCode, toAppError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import { cameraUrn } from '../../shared/names.ts'
import { createBackOff } from '../../shared/retry.ts'
import { writeFileDurably } from '../../shared/secret-file.ts'
import { claimFileSchema, type IssuedCamera, MAX_CLAIM_FILE_BYTES, parseWire } from '../../shared/wire/index.ts'
import { authoritiesIn, issuerOf } from '../server-trust.ts'
import { type Cloud, type CloudAddress, openCloud } from './cloud.ts'
import { keyIn, type UnitSettings, USED_CLAIM_FILE, writeCameraFolder } from './folder.ts'

const RETRY = { firstMs: SECOND_MS, mostMs: MINUTE_MS }
/** Whatever the cloud says, a unit asks again no sooner and no later, milliseconds. */
export const MIN_ASK_AGAIN_MS = 100
export const MAX_ASK_AGAIN_MS = 5 * MINUTE_MS
/** A clock that is further off is told of. */
const CLOCK_OFF_MS = MINUTE_MS

export interface UnitClaim {
  code: string
  address: CloudAddress
  /** Whose camera this is to be; null: the cloud says so. */
  expected: { agency: string; camera: string } | null
}

/** A claim's file, or a file with nothing but the code in it, or the code. Throws `bad_input`. */
export function readClaim(text: string): { file: UnitClaim } | { code: string } {
  const bare = parseClaimCode(text)
  if (bare !== null) return { code: text.trim() }
  const bytes = Buffer.from(text)
  const parsed = parseWire(claimFileSchema, bytes, MAX_CLAIM_FILE_BYTES)
  if (!parsed.ok) {
    const isDocument = text.trimStart().startsWith('{')
    throw new AppError('bad_input', isDocument ? `the claim’s file: ${parsed.reason}` : 'the claim code is not right', {
      hint: isDocument
        ? 'have it made anew: `candor camera claim NAME --out FILE`'
        : 'compare it character by character',
    })
  }
  const { code, cloud, caPem, agency, camera, madeAtMs } = parsed.value
  if (parseClaimCode(code) === null) throw new AppError('bad_input', 'the claim’s file: the code is damaged')
  authoritiesIn(caPem)
  const address = { url: cloud, trust: { caPem }, notBeforeMs: madeAtMs }
  return { file: { code, address, expected: { agency, camera } } }
}

/** What stands in the file of this name, or the name itself where there is no such file: then it is the code. */
export function claimText(nameOrCode: string): string {
  try {
    return readFileSync(nameOrCode, 'utf8')
  } catch (thrown) {
    const code = systemCode(thrown)
    if (code === 'ENOENT' || code === 'ENAMETOOLONG') return nameOrCode
    throw new AppError('bad_input', `${nameOrCode}: ${toAppError(thrown).message}`, { cause: thrown })
  }
}

export interface EnrolOptions {
  claim: UnitClaim
  folder: string
  settings: UnitSettings
}

export interface EnrolDeps {
  clock: Clock
  random: Random
  /** For the technician, who compares it with what the administrator sees. */
  onKey(fingerprint: string): void
  onPending(camera: string): void
  /** Something that passes: the cloud cannot be reached. */
  onTrouble(problem: string, retryInMs: number): void
  /** How far the unit's clock is from the cloud's, where that is far. */
  onClockOff(offMs: number): void
}

/** Resolves when the folder is complete. Throws what will not pass by itself: a refused claim, a server that is not the cloud. */
export async function enrolUnit(
  { claim, folder, settings }: EnrolOptions,
  deps: EnrolDeps,
  signal: AbortSignal,
): Promise<{ camera: string; expiresAtMs: number }> {
  const { clock } = deps
  const { keyPem } = await keyIn(folder, newCameraKey)
  const csrPem = cameraRequest(claim.expected?.camera ?? 'candor-unit', keyPem)
  deps.onKey(shortFingerprint(keyDigest(keyPem)))
  const backOff = createBackOff(RETRY, deps.random)
  let cloud: Cloud | null = null
  for (;;) {
    signal.throwIfAborted()
    try {
      if (cloud === null) {
        cloud = await openCloud(claim.address, clock)
        const offMs = clock.nowMs() - cloud.nowMs()
        if (Math.abs(offMs) > CLOCK_OFF_MS) deps.onClockOff(offMs)
      }
      const answer = await cloud.ask(claim.code, csrPem)
      backOff.reset()
      if (answer.state === 'issued') {
        checkIssued(answer.issued, keyPem, claim.expected)
        await writeFileDurably(join(folder, USED_CLAIM_FILE), `${digestOf(claim)}\n`)
        await writeCameraFolder(folder, answer.issued, { host: hostOf(claim.address.url), settings })
        return { camera: answer.issued.camera, expiresAtMs: answer.issued.expiresAtMs }
      }
      if (claim.expected !== null && answer.camera !== claim.expected.camera) throw forAnother(answer.camera)
      deps.onPending(answer.camera)
      await clock.sleep(Math.min(MAX_ASK_AGAIN_MS, Math.max(MIN_ASK_AGAIN_MS, answer.askAgainMs)), signal)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code !== 'unavailable') throw thrown
      // The time that the cloud told may have gone by: it is asked anew.
      cloud = null
      const waitMs = backOff.nextMs()
      deps.onTrouble(error.message, waitMs)
      await clock.sleep(waitMs, signal)
    }
  }
}

/** What is kept of a claim. */
export const digestOf = ({ code }: UnitClaim) => claimDigest(parseClaimCode(code) ?? '')

const forAnother = (camera: string) =>
  new AppError('integrity', `the claim is for another camera than this is to be: ${camera}`)

const hostOf = (url: string) => new URL(url).hostname.replace(/^\[|\]$/g, '')

/** Found out here and not on a pole. Throws `integrity`. */
function checkIssued(issued: IssuedCamera, keyPem: string, expected: UnitClaim['expected']): void {
  const wrong = (problem: string) => new AppError('integrity', `what the cloud has issued cannot be used: ${problem}`)
  if (expected !== null && (issued.agency !== expected.agency || issued.camera !== expected.camera))
    throw wrong('it is for another camera than the claim')
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(issued.certificatePem)
  } catch {
    throw wrong('the certificate is damaged')
  }
  if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) throw wrong('the certificate is for another key')
  if (issuerOf(certificate, authoritiesIn(issued.caPem)) === null)
    throw wrong('the certificate is of another authority')
  if (certificate.subjectAltName !== `URI:${cameraUrn(issued.agency, issued.camera)}`)
    throw wrong('the certificate names another camera')
}
