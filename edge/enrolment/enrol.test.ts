import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  createMovableClock,
  inCloud,
  makeSighting,
  publishSighting,
  type TestCloud,
  until,
} from '../../cloud/testing.ts'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { type Clock, DAY_MS, systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { MAX_CLAIM_FILE_BYTES } from '../../shared/wire/index.ts'
import { loadEdgeConfig } from '../config.ts'
import { CLOCK_MARGIN_MS } from './cloud.ts'
import { enrolUnit, readClaim, type UnitClaim } from './enrol.ts'

const A = 'elm-st-1'
const YEAR_MS = 365 * DAY_MS

/** Waits no longer than it must, and stands where it is told. */
const unitClock = (offMs = 0): Clock => ({
  nowMs: () => systemClock.nowMs() + offMs,
  monotonicMs: systemClock.monotonicMs,
  sleep: (_ms, signal) => systemClock.sleep(20, signal),
})

interface Ran {
  keys: string[]
  troubles: string[]
  offMs: number[]
  pending: number
  done: Promise<{ camera: string; expiresAtMs: number }>
  stop(): void
}

function run(claim: UnitClaim, folder: string, clock = unitClock()): Ran {
  const stopping = new AbortController()
  const ran = { keys: [], troubles: [], offMs: [], pending: 0, stop: () => stopping.abort() } as unknown as Ran
  ran.done = enrolUnit(
    { claim, folder, settings: { source: { kind: 'replay', path: '.' } } },
    {
      ...{ clock, random: () => 0 },
      onKey: (fingerprint) => ran.keys.push(fingerprint),
      onPending() {
        ran.pending += 1
      },
      onTrouble: (problem) => ran.troubles.push(problem),
      onClockOff: (offMs) => ran.offMs.push(offMs),
    },
    stopping.signal,
  )
  ran.done.catch(() => {})
  return ran
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-unit-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** As `candor camera claim --out` writes it. */
async function claimFor(world: TestCloud, change: Partial<UnitClaim['address']> = {}): Promise<UnitClaim> {
  const { claim, code } = await world.cloud.parts.enrolment.claim(
    { camera: A, site: null, hours: 72, replaces: false },
    'tess',
  )
  const file = {
    ...{ candorClaim: 1, cloud: `https://localhost:${world.cloud.httpsPort}`, agency: 'springfield', camera: A, code },
    ...{ caPem: world.cloud.caPem, madeAtMs: claim.madeAtMs },
  }
  const read = readClaim(JSON.stringify(file, null, 2))
  if (!('file' in read)) return assert.unreachable() as never
  return { ...read.file, address: { ...read.file.address, ...change } }
}

async function approve(world: TestCloud, ran: Ran): Promise<void> {
  await until('it waits for approval', () => ran.pending > 0)
  await world.cloud.parts.enrolment.approve(A, ran.keys[0] ?? '', 'ada')
}

/** What it gives up for; one that goes on trying is told to stop. */
async function failure(ran: Ran): Promise<AppError> {
  let ended = false
  ran.done.then(
    () => (ended = true),
    () => (ended = true),
  )
  await until('it has ended, or gone on trying', () => ended || ran.troubles.length >= 3)
  ran.stop()
  try {
    await ran.done
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown
    throw thrown
  }
  return assert.unreachable('it did not fail') as never
}

const newestState = async (world: TestCloud) => (await world.cloud.parts.enrolment.list())[0]?.state

test('a unit makes its key, waits for its approval, and has a folder that a camera starts from', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const ran = run(await claimFor(world), folder)
      await approve(world, ran)
      const { camera } = await ran.done
      assert.is(camera, A)
      assert.equal(ran.troubles, [])
      assert.equal(readdirSync(folder).sort(), [
        ...['ca.pem', 'certificate.pem', 'claim.used', 'edge.json', 'key.pem', 'list-keys.pem', 'sealing.pem'],
      ])
      for (const name of readdirSync(folder)) assert.is(statSync(join(folder, name)).mode & 0o777, 0o600, name)
      const config = loadEdgeConfig(join(folder, 'edge.json'), null)
      assert.equal([config.agency, config.cameraId], ['springfield', A])
      assert.is(config.broker.url, `mqtts://localhost:${world.cloud.mqttPort}`)
      const key = readFileSync(config.broker.keyFile, 'utf8')
      assert.not.ok(world.logLines.join('').includes(key.split('\n')[1] ?? ''))
      const cert = readFileSync(config.broker.certificateFile, 'utf8')
      const connected = await world.connectCamera(A, { key, cert })
      assert.is(await publishSighting(connected, makeSighting(world.clock)), 'acknowledged')
      const again = await failure(run(await claimAgain(world), folder))
      assert.is(again.code, 'conflict', 'a folder that holds a camera is left alone')
    })
  })
})

/** For the same camera, as a replacement. */
async function claimAgain(world: TestCloud): Promise<UnitClaim> {
  const made = await world.cloud.parts.enrolment.claim({ camera: A, site: null, hours: 1, replaces: true }, 'tess')
  const address = { url: `https://localhost:${world.cloud.httpsPort}`, trust: { caPem: world.cloud.caPem } }
  return { code: made.code, address: { ...address, notBeforeMs: null }, expected: null }
}

test('a unit that lost its power goes on with the same key, also between approval and its files', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const claim = await claimFor(world)
      const first = run(claim, folder)
      await until('it waits', () => first.pending > 0)
      first.stop()
      await first.done.catch(() => {})
      assert.equal(readdirSync(folder), ['key.pem'])
      await world.cloud.parts.enrolment.approve(A, first.keys[0] ?? '', 'ada')
      // The answer came, and the power went before the last file was whole.
      const cut = run(claim, folder)
      await cut.done
      rmSync(join(folder, 'edge.json'))
      writeFileSync(join(folder, 'edge.json.tmp'), '{"agency": "sp')
      const last = run(claim, folder)
      await last.done
      assert.equal([...cut.keys, ...last.keys], [...first.keys, ...first.keys])
      assert.is(await world.cloud.parts.enrolment.alarms(), 0)

      const thief = await failure(run(claim, join(folder, 'thief')))
      assert.is(thief.code, 'forbidden')
      assert.match(thief.message, /another unit has used this claim/)
      assert.is(await world.cloud.parts.enrolment.alarms(), 1)
    })
  })
})

for (const [name, cloudOffMs] of [
  ['behind', 5 * YEAR_MS],
  ['ahead', -5 * YEAR_MS],
] as const) {
  test(`a unit whose clock is five years ${name} enrols: the cloud’s time is what certificates are held against`, async () => {
    await inFolder(async (folder) => {
      const clock = createMovableClock()
      // The real clock, OpenSSL's too, is the wrong one here.
      clock.advance(cloudOffMs)
      await inCloud(
        async (world) => {
          const ran = run(await claimFor(world), folder)
          await approve(world, ran)
          await ran.done
          assert.is(ran.offMs.length, 1)
          assert.ok(Math.abs((ran.offMs[0] ?? 0) + cloudOffMs) < DAY_MS, String(ran.offMs[0]))
        },
        {},
        {},
        clock,
      )
    })
  })
}

test('a unit whose clock stands in 1970 enrols', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const ran = run(await claimFor(world), folder, unitClock(-systemClock.nowMs()))
      await approve(world, ran)
      await ran.done
    })
  })
})

test('a server whose time is before the claim was made is not believed, up to the margin', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const claim = await claimFor(world)
      const madeAtMs = claim.address.notBeforeMs ?? 0
      const at = (notBeforeMs: number) => ({ ...claim, address: { ...claim.address, notBeforeMs } })
      const early = await failure(run(at(madeAtMs + CLOCK_MARGIN_MS + 60_000), join(folder, 'early')))
      assert.is(early.code, 'unauthenticated')
      assert.is(await newestState(world), 'waiting', 'it has not shown its claim')
      const ran = run(at(madeAtMs + CLOCK_MARGIN_MS), join(folder, 'near'))
      await approve(world, ran)
      await ran.done
    })
  })
})

test('an authority is known by its SHA-256 as well, and by no other', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const caSha256 = new X509Certificate(world.cloud.caPem).fingerprint256
      const wrong = caSha256.replace(/^../, (two) => (two === '00' ? '01' : '00'))
      const claim = await claimFor(world)
      const by = (trust: UnitClaim['address']['trust']) => ({ ...claim, address: { ...claim.address, trust } })
      const refused = await failure(run(by({ caSha256: wrong }), join(folder, 'wrong')))
      assert.is(refused.code, 'unauthenticated')
      assert.is(await newestState(world), 'waiting')
      const ran = run(by({ caSha256: caSha256.toLowerCase() }), join(folder, 'right'))
      await approve(world, ran)
      await ran.done
      assert.is(readFileSync(join(folder, 'right', 'ca.pem'), 'utf8').trim(), world.cloud.caPem.trim())
    })
  })
})

/** A TLS server that answers as the door does and remembers all that it is sent. */
async function withImpostor(
  tls: { key: string; cert: string },
  answer: object,
  work: (port: number, received: () => string) => Promise<void>,
): Promise<void> {
  let received = ''
  const body = JSON.stringify(answer)
  const server = createServer(tls, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      received += chunk
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await work((server.address() as AddressInfo).port, () => received)
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

test('a server of another authority, and a stolen camera that plays the cloud, are shown no claim', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const claim = await claimFor(world)
      const { authority } = world.cloud.parts
      const { keyPem, csrPem } = newCameraRequest('thief')
      const camera = { key: keyPem, cert: (await authority.issueCamera('oak-st-2', csrPem)).certPem }
      let other = { key: '', cert: '', ca: '' }
      await inCloud(async (elsewhere) => {
        const { serverKeyPem: key, serverCertPem: cert, caPem: ca } = elsewhere.cloud.parts.authority
        other = { key, cert, ca }
      })
      const says = (caPem: string) => ({ agency: 'springfield', caPem, nowMs: world.clock.nowMs() })
      for (const [tls, caPem] of [
        [other, other.ca],
        [other, world.cloud.caPem],
        [camera, world.cloud.caPem],
      ] as const) {
        await withImpostor(tls, says(caPem), async (port, received) => {
          const url = `https://localhost:${port}`
          const caSha256 = new X509Certificate(world.cloud.caPem).fingerprint256
          for (const trust of [claim.address.trust, { caSha256 }]) {
            const deceived = { ...claim, address: { ...claim.address, url, trust } }
            const { code } = await failure(run(deceived, join(folder, 'unit')))
            assert.is(code, 'unauthenticated')
          }
          assert.not.match(received(), /POST|claim/i)
        })
      }
      // The name counts as well: the same server under an address that is not on its certificate.
      const url = `https://127.0.0.2:${world.cloud.httpsPort}`
      const ran = run({ ...claim, address: { ...claim.address, url } }, join(folder, 'unit'))
      await Promise.race([ran.done.catch(() => {}), until('it has failed', () => ran.troubles.length > 0)])
      ran.stop()
      assert.is(ran.pending, 0)
      assert.is(await newestState(world), 'waiting')
    })
  })
})

test('a cloud that cannot be reached is tried again; what it refuses is not', async () => {
  await inFolder(async (folder) => {
    await inCloud(async (world) => {
      const claim = await claimFor(world)
      const gone = createServer()
      await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve))
      const { port } = gone.address() as AddressInfo
      await new Promise((resolve) => gone.close(resolve))
      const ran = run({ ...claim, address: { ...claim.address, url: `https://localhost:${port}` } }, folder)
      await until('it has tried three times', () => ran.troubles.length >= 3)
      ran.stop()
      await world.cloud.parts.enrolment.revoke(A, 'ada')
      const refused = await failure(run(claim, folder))
      assert.equal([refused.code, /expired, was ended/.test(refused.message)], ['forbidden', true])
    })
  })
})

test('a claim is a file of at most so many bytes, a code, or told to be neither', () => {
  const code = '00000-00000-00000-00000-00000-00'
  assert.equal(readClaim(`${code}\n`), { code })
  const said = (text: string) => {
    try {
      readClaim(text)
      return 'taken'
    } catch (thrown) {
      return (thrown as Error).message
    }
  }
  assert.match(said('00000-00000-00000-00000-00000-01'), /claim code is not right/)
  assert.match(said('{"candorClaim": 2}'), /the claim’s file: candorClaim/)
  const padded = (bytes: number) => `{${' '.repeat(bytes - 2)}}`
  assert.match(said(padded(MAX_CLAIM_FILE_BYTES)), /candorClaim/)
  assert.match(said(padded(MAX_CLAIM_FILE_BYTES + 1)), /too long/)
})

test('a key that others had put into the folder is used, and a folder that cannot be written is told of', async () => {
  await inFolder(async (folder) => {
    mkdirSync(join(folder, 'key.pem.tmp'))
    const claim: UnitClaim = {
      ...{ code: '', expected: null },
      address: { url: 'https://localhost:1', trust: { caPem: '' }, notBeforeMs: null },
    }
    assert.is((await failure(run(claim, folder))).code, 'unavailable')
  })
})

test.run()
