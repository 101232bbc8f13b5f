/**
 * The agency's own certificate authority: made at first start, it signs the server's certificate, the cameras' and the one for
 * partners. A private authority, because a camera must trust this cloud and no other. Owns the files in its folder; called by main.ts,
 * cameras.ts and sharing/.
 */
// @peculiar/x509 finds its parts by decorators and refuses to load without this.
import 'reflect-metadata'
import { createPrivateKey, createPublicKey, X509Certificate as NodeCertificate, webcrypto } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { keyDigest } from '../shared/certificate-request.ts'
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { cameraClientId, cameraUrn, partnerUrn } from '../shared/names.ts'
import { PUBLIC_MODE, readFileIfThere, writeFileDurably } from '../shared/secret-file.ts'
import { sha256Hex } from '../shared/signing.ts'
import { MAX_CSR_CHARACTERS } from '../shared/wire/index.ts'
import { type Rotation, type RotationStep, readRotation, takeStep } from './authority/rotation.ts'

export const AUTHORITY_FILES = {
  caKey: 'ca-key.pem',
  ca: 'ca.pem',
  serverKey: 'server-key.pem',
  server: 'server.pem',
  partnerKey: 'partner-key.pem',
  partner: 'partner.pem',
} as const

/** 10 years; to the next one: authority/rotation.ts. */
export const CA_LIFETIME_MS = 3_650 * DAY_MS
/** 1 year. */
export const CAMERA_LIFETIME_MS = 365 * DAY_MS
/** 90 days; renewed when fewer than SERVER_RENEW_BEFORE_MS are left, at a start or while the cloud runs. */
export const SERVER_LIFETIME_MS = 90 * DAY_MS
export const SERVER_RENEW_BEFORE_MS = 30 * DAY_MS
/** Certificates are valid from a day before they are made: a camera without a clock battery may start behind. */
export const BACKDATE_MS = DAY_MS
/**
 * A certificate is not made anew for less: in the authority's last weeks every new one ends with it, and would be due again at once.
 */
export const LEAST_GAIN_MS = DAY_MS
export const MAX_HOSTNAMES = 32

/** ECDSA on P-256 [FIPS 186-5]: taken by every TLS stack, also on the smallest camera. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

const { subtle } = webcrypto
type CryptoKey = webcrypto.CryptoKey
x509.cryptoProvider.set(x509.CryptoProvider.DEFAULT, webcrypto)

export interface IssuedCertificate {
  certPem: string
  /** Upper-case hex, as Node.js shows it. */
  serial: string
  /** SHA-256 over the DER, upper-case hex in pairs with colons, as Node.js shows it. */
  fingerprint: string
  /** SHA-256 over the public key, hex. */
  keySha256: string
  expiresAtMs: number
}

export interface Authority {
  readonly caPem: string
  /** Of every authority that is trusted, this one first: while one is replaced there are two. */
  readonly trustedPem: string
  /** Certificates of cameras issued before know another set of authorities; 0: there was never another. Milliseconds. */
  readonly trustedSinceMs: number
  /** The authority's own end, and so of everything that it signs. */
  readonly expiresAtMs: number
  /** The last step to another authority as it stands on the disk now, which the cloud may not have taken up yet; null: never. */
  lastStep(): Promise<Rotation['last']>
  readonly serverKeyPem: string
  readonly serverCertPem: string
  readonly serverExpiresAtMs: number
  /** Makes the server's certificate anew when it nears its end. true: it is another one now, to be given to the servers. */
  renewServer(): Promise<boolean>
  /**
   * Key and certificate by which this cloud and those of partners know each other, on both ends of a connection; made when first
   * asked for, and made anew with the rules of the server's.
   */
  partner(): Promise<{ keyPem: string; certPem: string }>
  /** ECDSA with SHA-256 by the authority's own key, base64 of r and s [IEEE P1363]: partners pin that key. */
  sign(bytes: Uint8Array): Promise<string>
  /** SHA-256 over the request's public key, hex, once its signature has shown that the asker holds the other half. Throws `bad_input`. */
  requestKey(csrPem: string): Promise<string>
  /** A certificate for `camera` over the key of the request; the request's own names are ignored. Throws `bad_input`. */
  issueCamera(camera: string, csrPem: string): Promise<IssuedCertificate>
  /** Would a camera whose certificate ends then have one for longer (LEAST_GAIN_MS) if it were issued now? */
  outlastsCamera(expiresAtMs: number): boolean
}

export interface AuthorityDeps {
  folder: string
  agency: string
  /** DNS names and IP addresses that people and cameras reach the server by. */
  hostnames: readonly string[]
  clock: Clock
}

/** Opens the authority in `folder`, making it, and the server's certificate, when missing. Throws `configuration`. */
export async function openAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { folder, agency, clock } = deps
  if (deps.hostnames.length === 0 || deps.hostnames.length > MAX_HOSTNAMES) {
    throw new AppError('configuration', `hostnames: 1 to ${MAX_HOSTNAMES} are needed (got ${deps.hostnames.length})`)
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const ca = await openCa(folder, agency, clock)
  const rotation = await readRotation(folder)
  const trustedPem = [ca.certificate.toString('pem'), ...rotation.others].map((pem) => pem.trim()).join('\n')
  let server = await openCertificate(folder, ca, deps, SERVER)
  let partner: Pair | null = null
  return {
    caPem: ca.certificate.toString('pem'),
    trustedPem,
    trustedSinceMs: rotation.last?.atMs ?? 0,
    expiresAtMs: ca.certificate.notAfter.getTime(),
    lastStep: async () => (await readRotation(folder)).last,
    get serverKeyPem() {
      return server.keyPem
    },
    get serverCertPem() {
      return server.certPem
    },
    get serverExpiresAtMs() {
      return expiryOf(server.certPem)
    },
    async renewServer() {
      if (!isDue(server.certPem, ca, clock)) return false
      server = await openCertificate(folder, ca, deps, SERVER)
      return true
    },
    async partner() {
      if (partner === null || isDue(partner.certPem, ca, clock))
        partner = await openCertificate(folder, ca, deps, PARTNER)
      return partner
    },
    async sign(bytes) {
      return Buffer.from(await subtle.sign(ALGORITHM, ca.key, bytes)).toString('base64')
    },
    async requestKey(csrPem) {
      return sha256Hex(new Uint8Array((await checkRequest(csrPem)).rawData))
    },
    async issueCamera(camera, csrPem) {
      const publicKey = await checkRequest(csrPem)
      const certificate = await issue(ca, clock, {
        publicKey,
        name: cameraClientId(agency, camera),
        alternatives: [{ type: 'url', value: cameraUrn(agency, camera) }],
        usages: [x509.ExtendedKeyUsage.clientAuth],
        lifetimeMs: CAMERA_LIFETIME_MS,
      })
      const certPem = certificate.toString('pem')
      const issued = new NodeCertificate(certPem)
      return {
        certPem,
        serial: issued.serialNumber,
        fingerprint: issued.fingerprint256,
        keySha256: keyDigest(issued.publicKey),
        expiresAtMs: certificate.notAfter.getTime(),
      }
    },
    outlastsCamera: (expiresAtMs) => gains(expiresAtMs, CAMERA_LIFETIME_MS, ca, clock),
  }
}

interface Ca {
  certificate: x509.X509Certificate
  key: CryptoKey
}

async function openCa(folder: string, agency: string, clock: Clock): Promise<Ca> {
  const keyPath = join(folder, AUTHORITY_FILES.caKey)
  const certPath = join(folder, AUTHORITY_FILES.ca)
  const keyPem = await readFileIfThere(keyPath)
  const certPem = await readFileIfThere(certPath)
  if (keyPem !== null && certPem !== null) {
    checkPair(keyPem, certPem, keyPath)
    return { certificate: new x509.X509Certificate(certPem), key: await importKey(keyPem) }
  }
  if (certPem !== null) {
    // A new key would not match what the cameras already trust.
    throw new AppError('configuration', `${keyPath}: missing, although ${certPath} is there`, {
      hint: 'restore it with `candor restore`',
    })
  }
  // A key without a certificate is the rest of a first start that was cut short: nobody trusts it yet.
  const made = await makeCa(`Candor ${agency} CA`, clock)
  await writeFileDurably(keyPath, made.keyPem)
  await writeFileDurably(certPath, made.certPem, PUBLIC_MODE)
  return { certificate: new x509.X509Certificate(made.certPem), key: await importKey(made.keyPem) }
}

/** One step from this authority to the next, on the host; the cloud takes it up when it is started again. Throws `conflict`. */
export function rotateAuthority(step: RotationStep, folder: string, agency: string, clock: Clock): Promise<void> {
  // Another name than the one before: people tell them apart by it.
  const name = `Candor ${agency} CA ${new Date(clock.nowMs()).toISOString().slice(0, 10)}`
  return takeStep(step, folder, AUTHORITY_FILES, () => makeCa(name, clock), clock.nowMs())
}

async function makeCa(name: string, clock: Clock): Promise<Pair> {
  const keys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const nowMs = clock.nowMs()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + CA_LIFETIME_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { keyPem: await exportKey(keys.privateKey), certPem: certificate.toString('pem') }
}

interface Pair {
  keyPem: string
  certPem: string
}

/** A certificate of the cloud's own: its files, what it is good for, and what it says beside the host names. */
interface Own {
  keyFile: string
  certFile: string
  usages: readonly x509.ExtendedKeyUsage[]
  urn: (agency: string) => string | null
}

const SERVER: Own = {
  keyFile: AUTHORITY_FILES.serverKey,
  certFile: AUTHORITY_FILES.server,
  usages: [x509.ExtendedKeyUsage.serverAuth],
  urn: () => null,
}
const PARTNER: Own = {
  keyFile: AUTHORITY_FILES.partnerKey,
  certFile: AUTHORITY_FILES.partner,
  usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
  urn: partnerUrn,
}

async function openCertificate(folder: string, ca: Ca, deps: AuthorityDeps, own: Own): Promise<Pair> {
  const keyPath = join(folder, own.keyFile)
  const certPath = join(folder, own.certFile)
  const oldKey = await readFileIfThere(keyPath)
  const oldCert = await readFileIfThere(certPath)
  if (oldKey !== null && oldCert !== null && stillGood(oldKey, oldCert, ca, deps)) {
    return { keyPem: oldKey, certPem: oldCert }
  }
  const keys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const urn = own.urn(deps.agency)
  const certificate = await issue(ca, deps.clock, {
    publicKey: keys.publicKey,
    name: deps.hostnames[0] ?? deps.agency,
    alternatives: [
      ...(urn === null ? [] : [{ type: 'url' as const, value: urn }]),
      ...deps.hostnames.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host })),
    ],
    usages: own.usages,
    lifetimeMs: SERVER_LIFETIME_MS,
  })
  const keyPem = await exportKey(keys.privateKey)
  const certPem = certificate.toString('pem')
  await writeFileDurably(keyPath, keyPem)
  await writeFileDurably(certPath, certPem, PUBLIC_MODE)
  return { keyPem, certPem }
}

/** A certificate that outlives its authority would fail in the field on a day nobody expects. */
const endOf = (lifetimeMs: number, ca: Ca, clock: Clock): number =>
  Math.min(clock.nowMs() + lifetimeMs, ca.certificate.notAfter.getTime())

const gains = (expiresAtMs: number, lifetimeMs: number, ca: Ca, clock: Clock): boolean =>
  endOf(lifetimeMs, ca, clock) - expiresAtMs >= LEAST_GAIN_MS

/** Of a certificate of the cloud's own. */
function isDue(certPem: string, ca: Ca, clock: Clock): boolean {
  const expiresAtMs = expiryOf(certPem)
  return expiresAtMs - clock.nowMs() < SERVER_RENEW_BEFORE_MS && gains(expiresAtMs, SERVER_LIFETIME_MS, ca, clock)
}

const expiryOf = (certPem: string): number => new Date(new NodeCertificate(certPem).validTo).getTime()

/** Issued by this authority, for this key, every host name covered, and not due. */
function stillGood(keyPem: string, certPem: string, ca: Ca, deps: AuthorityDeps): boolean {
  try {
    const certificate = new NodeCertificate(certPem)
    const covered = deps.hostnames.every((host) =>
      isIP(host) === 0 ? certificate.checkHost(host) !== undefined : certificate.checkIP(host) !== undefined,
    )
    return (
      covered &&
      certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
      certificate.verify(createPublicKey(ca.certificate.toString('pem'))) &&
      !isDue(certPem, ca, deps.clock)
    )
  } catch {
    // Damaged files are made anew: the server's certificate holds nothing that could be lost.
    return false
  }
}

interface Request {
  publicKey: CryptoKey | x509.PublicKey
  name: string
  alternatives: x509.JsonGeneralNames
  usages: readonly x509.ExtendedKeyUsage[]
  lifetimeMs: number
}

async function issue(ca: Ca, clock: Clock, request: Request): Promise<x509.X509Certificate> {
  const nowMs = clock.nowMs()
  return x509.X509CertificateGenerator.create({
    subject: [{ CN: [request.name] }],
    issuer: ca.certificate.subjectName,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(endOf(request.lifetimeMs, ca, clock)),
    signingAlgorithm: ALGORITHM,
    publicKey: request.publicKey,
    signingKey: ca.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([...request.usages]),
      new x509.SubjectAlternativeNameExtension(request.alternatives),
      await x509.SubjectKeyIdentifierExtension.create(request.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
    ],
  })
}

/** The request's key, after its own signature proved that the asker holds the private half. */
async function checkRequest(csrPem: string): Promise<x509.PublicKey> {
  if (csrPem.length > MAX_CSR_CHARACTERS) {
    throw new AppError('too_large', `the certificate request is longer than ${MAX_CSR_CHARACTERS} characters`)
  }
  let request: x509.Pkcs10CertificateRequest
  let signed = false
  try {
    request = new x509.Pkcs10CertificateRequest(csrPem)
    signed = await request.verify()
  } catch (cause) {
    throw new AppError('bad_input', 'not a PEM certificate request (PKCS #10)', { cause })
  }
  if (!signed) throw new AppError('bad_input', 'the certificate request is not signed by its own key')
  const algorithm = request.publicKey.algorithm as { name?: string; namedCurve?: string }
  if (algorithm.name !== ALGORITHM.name || algorithm.namedCurve !== ALGORITHM.namedCurve) {
    throw new AppError('bad_input', 'the key of a camera must be ECDSA on P-256')
  }
  return request.publicKey
}

function checkPair(keyPem: string, certPem: string, path: string): void {
  let fits = false
  try {
    fits = new NodeCertificate(certPem).checkPrivateKey(createPrivateKey(keyPem))
  } catch (cause) {
    throw new AppError('configuration', `${path} or its certificate is damaged`, {
      hint: 'restore it with `candor restore`',
      cause,
    })
  }
  if (!fits) throw new AppError('configuration', `${path} does not fit its certificate`)
}

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await subtle.exportKey('pkcs8', key), x509.PemConverter.PrivateKeyTag)
}

async function importKey(pem: string): Promise<CryptoKey> {
  return subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), ALGORITHM, true, ['sign'])
}
