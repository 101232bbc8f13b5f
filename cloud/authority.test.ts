import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newCameraRequest } from '../shared/certificate-request.ts'
import { type Clock, DAY_MS, systemClock } from '../shared/clock.ts'
import { AppError, type ErrorCode } from '../shared/errors.ts'
import { MAX_CSR_CHARACTERS } from '../shared/wire/index.ts'
import {
  AUTHORITY_FILES,
  type Authority,
  CAMERA_LIFETIME_MS,
  MAX_HOSTNAMES,
  openAuthority,
  SERVER_LIFETIME_MS,
  SERVER_RENEW_BEFORE_MS,
} from './authority.ts'

const HOSTNAMES = ['localhost', '127.0.0.1', 'plates.example.gov']

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-authority-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function open(folder: string, clock: Clock = systemClock, hostnames = HOSTNAMES): Promise<Authority> {
  return openAuthority({ folder, agency: 'springfield', hostnames, clock })
}

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<AppError> {
  try {
    await work
  } catch (thrown) {
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, code)
    return thrown as AppError
  }
  assert.unreachable(`expected ${code}`)
  throw new Error('unreachable')
}

test('the authority is made once and its private files are for its owner only', async () => {
  await inFolder(async (folder) => {
    const first = await open(folder)
    const second = await open(folder)
    assert.is(first.caPem, second.caPem)
    assert.is(first.serverCertPem, second.serverCertPem)
    for (const name of [AUTHORITY_FILES.caKey, AUTHORITY_FILES.serverKey]) {
      assert.is(statSync(join(folder, name)).mode & 0o777, 0o600, name)
    }
    const ca = new X509Certificate(first.caPem)
    assert.ok(ca.ca)
    assert.ok(ca.verify(ca.publicKey))
  })
})

test('a server and a camera recognise each other over TLS and the camera is named by its certificate', async () => {
  await inFolder(async (folder) => {
    const authority = await open(folder)
    const { keyPem, csrPem } = newCameraRequest('elm-st-1')
    const issued = await authority.issueCamera('elm-st-1', csrPem)
    const server = createServer({
      key: authority.serverKeyPem,
      cert: authority.serverCertPem,
      ca: authority.caPem,
      requestCert: true,
      rejectUnauthorized: true,
    })
    const seen = new Promise<TLSSocket>((resolve) => server.on('secureConnection', resolve))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const client = connect({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      ca: authority.caPem,
      key: keyPem,
      cert: issued.certPem,
    })
    await new Promise<void>((resolve, reject) => client.once('secureConnect', resolve).once('error', reject))
    assert.ok(client.authorized)
    const peer = (await seen).getPeerCertificate()
    assert.is(peer.subjectaltname, 'URI:urn:candor:springfield:camera:elm-st-1')
    assert.is(peer.fingerprint256, issued.fingerprint)
    assert.is(peer.serialNumber, issued.serial)
    client.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
})

test('a camera certificate serves clients only and the server certificate covers every host name', async () => {
  await inFolder(async (folder) => {
    const authority = await open(folder)
    const server = new X509Certificate(authority.serverCertPem)
    assert.equal(server.keyUsage, ['1.3.6.1.5.5.7.3.1'])
    assert.ok(server.checkHost('plates.example.gov'))
    assert.ok(server.checkIP('127.0.0.1'))
    assert.is(server.checkHost('other.example.gov'), undefined)
    const { csrPem } = newCameraRequest('elm-st-1')
    const issued = await authority.issueCamera('elm-st-1', csrPem)
    const camera = new X509Certificate(issued.certPem)
    assert.equal(camera.keyUsage, ['1.3.6.1.5.5.7.3.2'])
    assert.not(camera.ca)
    assert.ok(camera.verify(new X509Certificate(authority.caPem).publicKey))
    assert.ok(Math.abs(issued.expiresAtMs - Date.now() - CAMERA_LIFETIME_MS) < 10_000)
  })
})

test('the names that a request asks for are ignored', async () => {
  await inFolder(async (folder) => {
    const authority = await open(folder)
    const { csrPem } = newCameraRequest('another-agency.admin')
    const camera = new X509Certificate((await authority.issueCamera('elm-st-1', csrPem)).certPem)
    assert.is(camera.subject, 'CN=springfield.elm-st-1')
  })
})

test('the server certificate is renewed when fewer than 30 days are left and not before', async () => {
  await inFolder(async (folder) => {
    const first = await open(folder)
    const at = (offsetMs: number): Clock => ({ ...systemClock, nowMs: () => first.serverExpiresAtMs - offsetMs })
    const kept = await open(folder, at(SERVER_RENEW_BEFORE_MS))
    assert.is(kept.serverCertPem, first.serverCertPem)
    const renewed = await open(folder, at(SERVER_RENEW_BEFORE_MS - 1_000))
    assert.is.not(renewed.serverCertPem, first.serverCertPem)
    assert.is(renewed.caPem, first.caPem)
    assert.ok(renewed.serverExpiresAtMs - first.serverExpiresAtMs > SERVER_LIFETIME_MS - 31 * DAY_MS)
  })
})

test('an open authority renews the server certificate by the same limit, and keeps it for the next start', async () => {
  await inFolder(async (folder) => {
    let nowMs = Date.now()
    const clock: Clock = { ...systemClock, nowMs: () => nowMs }
    const authority = await open(folder, clock)
    const { serverCertPem: first, serverKeyPem: firstKey, serverExpiresAtMs: firstEnd } = authority
    nowMs = firstEnd - SERVER_RENEW_BEFORE_MS
    assert.not(await authority.renewServer())
    assert.is(authority.serverCertPem, first)
    nowMs += 1
    assert.ok(await authority.renewServer())
    assert.is.not(authority.serverCertPem, first)
    assert.is.not(authority.serverKeyPem, firstKey)
    assert.ok(authority.serverExpiresAtMs > firstEnd)
    assert.is((await open(folder, clock)).serverCertPem, authority.serverCertPem)
  })
})

test('a new host name gives a new server certificate', async () => {
  await inFolder(async (folder) => {
    const first = await open(folder)
    const second = await open(folder, systemClock, [...HOSTNAMES, '::1'])
    assert.is.not(second.serverCertPem, first.serverCertPem)
    assert.ok(new X509Certificate(second.serverCertPem).checkIP('::1'))
  })
})

test('a damaged server certificate is replaced, a damaged or missing authority key is an error', async () => {
  await inFolder(async (folder) => {
    const first = await open(folder)
    writeFileSync(join(folder, AUTHORITY_FILES.server), 'nonsense')
    const second = await open(folder)
    assert.is(second.caPem, first.caPem)
    const keyPath = join(folder, AUTHORITY_FILES.caKey)
    const key = readFileSync(keyPath)
    writeFileSync(keyPath, key.subarray(0, 60))
    await rejects(open(folder), 'configuration')
    writeFileSync(keyPath, readFileSync(join(folder, AUTHORITY_FILES.serverKey)))
    assert.match((await rejects(open(folder), 'configuration')).message, /does not fit/)
    unlinkSync(keyPath)
    assert.match((await rejects(open(folder), 'configuration')).hint ?? '', /restore/)
  })
})

test('a start that was cut short after the key begins again', async () => {
  await inFolder(async (folder) => {
    await open(folder)
    unlinkSync(join(folder, AUTHORITY_FILES.ca))
    const again = await open(folder)
    assert.ok(new X509Certificate(again.serverCertPem).verify(new X509Certificate(again.caPem).publicKey))
  })
})

test('what is no request, is too long, or has another kind of key is refused', async () => {
  await inFolder(async (folder) => {
    const authority = await open(folder)
    for (const bad of [
      '',
      'hello',
      '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----',
      authority.caPem,
    ]) {
      await rejects(authority.issueCamera('elm-st-1', bad), 'bad_input')
    }
    await rejects(authority.issueCamera('elm-st-1', 'x'.repeat(MAX_CSR_CHARACTERS + 1)), 'too_large')
    await rejects(authority.issueCamera('elm-st-1', 'x'.repeat(MAX_CSR_CHARACTERS)), 'bad_input')
    await rejects(authority.issueCamera('elm-st-1', RSA_REQUEST), 'bad_input')
  })
})

test('a request whose signature does not fit its key is refused', async () => {
  await inFolder(async (folder) => {
    const authority = await open(folder)
    const { csrPem } = newCameraRequest('elm-st-1')
    const body = csrPem.replace(/-----[A-Z ]+-----|\n|\r/g, '')
    const der = Buffer.from(body, 'base64')
    // The last bytes are the signature's second number.
    der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    await rejects(authority.issueCamera('elm-st-1', forged), 'bad_input')
  })
})

test('no host name and more than the limit are refused', async () => {
  await inFolder(async (folder) => {
    await rejects(open(folder, systemClock, []), 'configuration')
    const many = (count: number) => Array.from({ length: count }, (_, i) => `host-${i}.example.gov`)
    await rejects(open(folder, systemClock, many(MAX_HOSTNAMES + 1)), 'configuration')
    await open(folder, systemClock, many(MAX_HOSTNAMES))
  })
})

// Made once with: openssl req -new -newkey rsa:1024 -nodes -subj /CN=x -keyout /dev/null
const RSA_REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIIBSzCBtQIBADAMMQowCAYDVQQDDAF4MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB
iQKBgQDQjq+PG6fbBIx4M9rVV+v06pt5vtXOpVqI3qD1Ec3A5SV/gaIGcwivhIV9
A3adeksRLXGwP85w3TyCk2cuuAXG0EKcHDt9X9dNsRaeGIEnPtRI2taWBG1L4D90
pYQPH9fRN+1dyXSrKpL79vqtu3DxlmByaArQ19VPVQQ5oM8lCQIDAQABoAAwDQYJ
KoZIhvcNAQELBQADgYEAoiVmC+XlEf+HkDaDpfXkR62NUqX7jI7cNIOHlHXtdX33
hPHt303hBI53Weh7EnufWCn6KUYfLw/TnI1yLAqoo83qQRm9FvclCcdg5dwbKCX9
HVy2G4nRuFsmRShVvY6z4dQ6YWe/4d59eD7QHWJnj0CJmdjxYTE4rKtsC9ylvxU=
-----END CERTIFICATE REQUEST-----
`

test.run()
