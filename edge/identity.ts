/**
 * By what the camera shows who it is: the files that it was enrolled with, or the newer ones that it has been given since. Those are one
 * file in the data folder, so that key and certificate change together whatever happens, and the folder of the configuration may be
 * read-only. Called by the uplink at each connection, and by the check of the broker.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { cameraUrn } from '../shared/names.ts'
import { readFileIfThere, writeFileDurably } from '../shared/secret-file.ts'
import { authoritiesIn, issuerOf } from './server-trust.ts'

export const IDENTITY_FILE = 'identity.pem'

export interface OwnIdentity {
  keyPem: string
  certificatePem: string
  caPem: string
}

export interface Identity {
  /** Of the certificate that was issued last; after refusals each in turn. */
  load(): Promise<OwnIdentity>
  /** The cloud refused what `load` gave: the next one is tried. Only a connection ends the one of before, so that may still be good. */
  refused(): void
  accepted(): void
  /** From now on `load` gives this. Throws `integrity` for a certificate that is not this camera's, `storage_full`, `unavailable`. */
  take(next: OwnIdentity): Promise<void>
}

export interface IdentityDeps {
  agency: string
  cameraId: string
  dataFolder: string
  broker: { caFile: string; certificateFile: string; keyFile: string }
  log: Log
}

/** Why the three do not go together, or null. */
export function identityProblem(own: OwnIdentity, urn: string): string | null {
  try {
    const certificate = new X509Certificate(own.certificatePem)
    if (!certificate.checkPrivateKey(createPrivateKey(own.keyPem))) return 'the certificate is for another key'
    if (issuerOf(certificate, authoritiesIn(own.caPem)) === null) return 'the certificate is of another authority'
    return certificate.subjectAltName === `URI:${urn}` ? null : 'the certificate names another camera'
  } catch (thrown) {
    return `damaged: ${toAppError(thrown).message}`
  }
}

const issuedAtMs = ({ certificatePem }: OwnIdentity) =>
  new Date(new X509Certificate(certificatePem).validFrom).getTime()

async function enrolled({ broker }: Pick<IdentityDeps, 'broker'>): Promise<OwnIdentity> {
  const [caPem, certificatePem, keyPem] = await Promise.all(
    [broker.caFile, broker.certificateFile, broker.keyFile].map((path) => readFile(path, 'utf8')),
  )
  return { caPem: caPem ?? '', certificatePem: certificatePem ?? '', keyPem: keyPem ?? '' }
}

/** null: there is none, or it is of no use. Throws `unavailable` where this process may not know. */
async function renewed({ agency, cameraId, dataFolder, log }: IdentityDeps): Promise<OwnIdentity | null> {
  const file = join(dataFolder, IDENTITY_FILE)
  const text = await readFileIfThere(file)
  if (text === null) return null
  const [keyPem = '', certificatePem = '', ...authorities] =
    text.match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\n?/g) ?? []
  const own = { keyPem, certificatePem, caPem: authorities.join('') }
  const problem = identityProblem(own, cameraUrn(agency, cameraId))
  if (problem === null) return own
  log.warn('identity_not_used', { path: file, reason: problem })
  return null
}

/** In the order in which the camera tries them: the one that was issued last goes first. */
function inTurn(first: OwnIdentity, second: OwnIdentity | null, urn: string): readonly OwnIdentity[] {
  if (second === null) return [first]
  // A camera that was enrolled anew has the newer one in its folder.
  const isSecondNewer = identityProblem(first, urn) !== null || issuedAtMs(second) >= issuedAtMs(first)
  return isSecondNewer ? [second, first] : [first, second]
}

/**
 * The same for another process of the unit, which may not be let into the data folder: `hidden` says why it cannot know whether the camera has
 * been given a newer one. Throws as `readFile` does where the enrolled files are missing.
 */
export async function seenIdentities(
  deps: IdentityDeps,
): Promise<{ identities: readonly OwnIdentity[]; hidden: string | null }> {
  const first = await enrolled(deps)
  try {
    const identities = inTurn(first, await renewed(deps), cameraUrn(deps.agency, deps.cameraId))
    return { identities, hidden: null }
  } catch (thrown) {
    return { identities: [first], hidden: toAppError(thrown).message }
  }
}

export function createIdentity(deps: IdentityDeps): Identity {
  const file = join(deps.dataFolder, IDENTITY_FILE)
  const urn = cameraUrn(deps.agency, deps.cameraId)
  let refusals = 0

  return {
    async load() {
      const first = await enrolled(deps)
      const all = inTurn(first, await renewed(deps), urn)
      return all[refusals % all.length] ?? first
    },
    refused() {
      refusals += 1
    },
    accepted() {
      // Whichever it was is now tried first.
      refusals %= 2
    },
    async take(next) {
      const problem = identityProblem(next, urn)
      if (problem !== null) throw new AppError('integrity', problem)
      const lines = [next.keyPem, next.certificatePem, next.caPem].map((pem) => `${pem.trim()}\n`)
      await writeFileDurably(file, lines.join(''))
      refusals = 0
    },
  }
}
