/** What a unit makes of its card from switching on to a camera that runs: a real cloud, a card that is a folder, and a systemd that only listens. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCloud, makeSighting, publishSighting, type TestCloud, until } from '../../cloud/testing.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { eraseFile, readCardFile } from './card.ts'
import type { UnitPlaces } from './places.ts'
import { CLAIM_AGAIN_MS, provision } from './provision.ts'

const A = 'elm-st-1'
const UNIT = JSON.stringify({ edge: { source: { kind: 'stream', address: 'rtsp://10.0.0.9/1' } } })

class SwitchedOff extends Error {}

interface Unit {
  world: TestCloud
  places: UnitPlaces
  card: string
  /** What systemd was asked for since the last start. */
  asked: string[]
  lines(): string
  /** Since the last start. */
  reports: string[]
  /** The last of them. */
  said(): string
  fingerprint(): string
  /** Since it was switched on, by its own clock, milliseconds. */
  sleptMs: number
  /** How long one of its waits is here, milliseconds. */
  waitMs: number
  /** From switching on until it has nothing more to do; `until` it is switched off before. */
  start(isOff?: () => boolean): Promise<void>
  /** What goes wrong with the card. */
  fault: 'none' | 'open' | 'remove' | 'close'
  put(name: string, text: string): void
  onCard(name: string): string | null
  read(name: string): string
}

/** `approves`: somebody does as soon as a unit asks. */
async function withUnit(work: (unit: Unit) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'candor-unit-'))
  try {
    await inCloud(async (world) => {
      const card = join(root, 'card')
      mkdirSync(card)
      const places = {
        cameraFolder: join(root, 'camera'),
        enrollingFolder: join(root, 'enrolling'),
        pageOpenedFile: join(root, 'opened'),
      }
      const said: string[] = []
      let fingerprint = ''
      const unit: Unit = {
        ...{ world, places, card, asked: [], reports: [], fault: 'none', sleptMs: 0, waitMs: 20 },
        lines: () => said.join('\n'),
        said: () => unit.reports.at(-1) ?? '',
        fingerprint: () => fingerprint,
        async start(isOff = () => false) {
          unit.asked = []
          unit.reports = []
          unit.sleptMs = 0
          rmSync(places.pageOpenedFile, { force: true })
          const clock: Clock = {
            ...systemClock,
            monotonicMs: () => unit.sleptMs,
            async sleep(ms) {
              unit.sleptMs += ms
              await systemClock.sleep(unit.waitMs)
              if (isOff()) throw new SwitchedOff()
            },
          }
          const ended = provision({
            ...{ places, clock, say: (line: string) => void said.push(line) },
            async openCard() {
              const fail = async (fault: Unit['fault']) => {
                if (unit.fault === fault) throw new AppError('unavailable', `input/output error at ${fault}`)
              }
              await fail('open')
              return {
                read: (name) => readCardFile(card, name),
                async remove(name) {
                  await fail('remove')
                  eraseFile(join(card, name))
                },
                close: () => fail('close'),
              }
            },
            async systemctl(verb, service) {
              unit.asked.push(`${verb} ${service}`)
            },
            async report(state, message, shown) {
              if (isOff()) throw new SwitchedOff()
              unit.reports.push(`${state}: ${message}`)
              fingerprint = shown ?? fingerprint
            },
          })
          await ended.catch((thrown: unknown) => {
            if (!(thrown instanceof SwitchedOff)) throw thrown
          })
        },
        put: (name, text) => writeFileSync(join(card, name), text),
        onCard: (name) => readCardFile(card, name),
        read: (name) => readFileSync(join(places.cameraFolder, name), 'utf8'),
      }
      await work(unit)
    })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

async function putClaim({ world, put }: Unit, camera: string, replaces: boolean): Promise<string> {
  const { claim, code } = await world.cloud.parts.enrolment.claim({ camera, site: null, hours: 72, replaces }, 'tess')
  const text = JSON.stringify({
    ...{ candorClaim: 1, cloud: `https://localhost:${world.cloud.httpsPort}`, agency: 'springfield', camera, code },
    ...{ caPem: world.cloud.caPem, madeAtMs: claim.madeAtMs },
  })
  put('claim.json', text)
  return text
}

const approve = ({ world, fingerprint }: Unit) => world.cloud.parts.enrolment.approve(A, fingerprint(), 'ada')

/** A camera, as its first card makes it. */
async function enrolled(unit: Unit): Promise<void> {
  await putClaim(unit, A, false)
  unit.put('unit.json', UNIT)
  unit.put('camera-login', 'user:first')
  const ended = unit.start()
  await until('it asks', () => unit.said().startsWith('pending'))
  await approve(unit)
  await ended
}

test('the first card makes a camera, and claim and log-in are gone from it', async () => {
  await withUnit(async (unit) => {
    await enrolled(unit)
    assert.equal([unit.onCard('claim.json'), unit.onCard('camera-login'), unit.onCard('unit.json')], [null, null, UNIT])
    assert.is(unit.read('camera-login'), 'user:first')
    assert.equal(unit.asked, ['start candor-edge.service'])
    // The power went before the claim was removed: it is known by which it was enrolled.
    unit.put('claim.json', '\0'.repeat(200))
    await unit.start()
    assert.equal([unit.onCard('claim.json'), unit.said()], [null, 'enrolled: this unit is a camera'])
    assert.equal(unit.asked, ['start candor-edge.service'])
  })
})

test('a new claim on the card of a camera enrols it again while it runs, over a power cut, and is gone only then', async () => {
  await withUnit(async (unit) => {
    await enrolled(unit)
    const old = [unit.read('key.pem'), unit.read('edge.json')]
    const text = await putClaim(unit, A, true)
    let isOff = false
    const cut = unit.start(() => isOff)
    await until('it asks', () => unit.said().startsWith('pending'))
    assert.equal(unit.asked, ['start candor-edge.service'], 'it is not dark while it waits')
    assert.match(unit.said(), /this unit is a camera, and is enrolled again: elm-st-1 waits for its approval/)
    assert.equal([unit.read('key.pem'), unit.read('edge.json')], old)
    const first = unit.fingerprint()
    isOff = true
    await Promise.race([cut, systemClock.sleep(500)])
    assert.is(unit.onCard('claim.json'), text)

    const ended = unit.start()
    await until('it asks again', () => unit.said().startsWith('pending'))
    assert.is(unit.fingerprint(), first)
    await approve(unit)
    await ended
    assert.is.not(unit.read('key.pem'), old[0])
    assert.equal([unit.read('edge.json'), unit.read('camera-login')], [old[1], 'user:first'])
    assert.is(unit.onCard('claim.json'), null)
    assert.equal(unit.asked, ['start candor-edge.service', 'restart candor-edge.service', 'start candor-edge.service'])
    assert.is(await unit.world.cloud.parts.enrolment.alarms(), 0)
    const files = { key: unit.read('key.pem'), cert: unit.read('certificate.pem') }
    const connected = await unit.world.connectCamera(A, files)
    assert.is(await publishSighting(connected, makeSighting(unit.world.clock)), 'acknowledged')
  })
})

test('a claim for another camera, and one that is refused or damaged, stay on the card; the camera runs and says why', async () => {
  await withUnit(async (unit) => {
    await enrolled(unit)
    const key = unit.read('key.pem')
    const runs = async (why: RegExp, text: string) => {
      await unit.start()
      assert.match(unit.said(), why)
      assert.equal([unit.onCard('claim.json'), unit.read('key.pem')], [text, key])
      assert.equal(unit.asked, ['start candor-edge.service'])
    }
    const other = await putClaim(unit, 'oak-st-2', false)
    await runs(
      /^enrolled: .*the claim is for oak-st-2 of springfield, and this unit is elm-st-1.*stays on the card$/,
      other,
    )
    const ended = await putClaim(unit, A, true)
    await unit.world.cloud.parts.enrolment.revoke(A, 'ada')
    await runs(/^enrolled: .*not used and stays there.*when the unit is switched on again.*expired, was ended/, ended)
    unit.put('claim.json', ended.slice(1))
    await runs(/^enrolled: this unit is a camera; .*claim/, ended.slice(1))
  })
})

test('a claim that cannot be used at the moment is tried again while the unit runs, no sooner than in an hour', async () => {
  await withUnit(async (unit) => {
    await enrolled(unit)
    const claim = JSON.parse(await putClaim(unit, A, true)) as { madeAtMs: number }
    // By the time that the cloud tells, this claim is of tomorrow: so it is none of that cloud, as far as the unit can know.
    unit.put('claim.json', JSON.stringify({ ...claim, madeAtMs: claim.madeAtMs + 24 * CLAIM_AGAIN_MS }))
    let isOff = false
    const cut = unit.start(() => isOff)
    await until('it has tried', () => /tried in 1 hour: .*before the claim was made/.test(unit.said()))
    isOff = true
    await cut
    assert.equal(unit.asked, ['start candor-edge.service'])
    assert.ok(unit.onCard('claim.json'))
  })
})

test('a log-in on the card of a camera becomes the camera’s; one that is none stays on the card and is told', async () => {
  await withUnit(async (unit) => {
    await enrolled(unit)
    unit.put('camera-login', 'nobody')
    await unit.start()
    assert.match(unit.said(), /camera-login must hold one line, user:password/)
    assert.equal([unit.read('camera-login'), unit.onCard('camera-login')], ['user:first', 'nobody'])
    unit.put('camera-login', 'user:second')
    await unit.start()
    assert.equal([unit.read('camera-login'), unit.onCard('camera-login')], ['user:second', null])
    assert.equal(unit.asked, ['restart candor-edge.service'], 'it has started by itself with the first one')
  })
})

test('a card whose camera wants a log-in that it does not bring is for the page; what came once is kept on the unit', async () => {
  await withUnit(async (unit) => {
    const claim = await putClaim(unit, A, false)
    const source = { kind: 'stream', address: 'rtsp://10.0.0.9/1', credentialsFile: 'camera-login' }
    unit.put('unit.json', JSON.stringify({ edge: { source } }))
    await unit.start()
    assert.equal([unit.asked, unit.onCard('claim.json')], [['start candor-setup.service'], claim])
    assert.match(unit.lines(), /unit.json names camera-login, which is missing/)
    // The page was left; its claim is gone on with, by the log-in of the card.
    unit.put('camera-login', 'user:first')
    const ended = unit.start()
    await until('it asks', () => unit.said().startsWith('pending'))
    await approve(unit)
    await ended
    assert.equal([unit.read('camera-login'), unit.onCard('camera-login')], ['user:first', null])
  })
})

test('a page that is asked for comes first, and the claim is kept until after it', async () => {
  await withUnit(async (unit) => {
    await enrolled(unit)
    const text = await putClaim(unit, A, true)
    unit.put('setup-code', 'ABCD-EFGH')
    await unit.start()
    assert.equal(unit.asked, ['start candor-setup.service'])
    assert.equal([unit.onCard('claim.json'), unit.onCard('setup-code')], [text, null])
    assert.ok(existsSync(join(unit.places.cameraFolder, 'setup-code')))
  })
})

test('a camera starts, whatever its card does', async () => {
  await withUnit(async (unit) => {
    unit.fault = 'remove'
    await enrolled(unit)
    assert.equal(unit.asked, ['start candor-edge.service'])
    assert.match(
      unit.said(),
      /^enrolled: this unit is a camera; camera-login stays on the card: input.* at remove.*; claim.json stays/,
    )
    for (const fault of ['open', 'close'] as const) {
      unit.fault = fault
      await unit.start()
      assert.equal(unit.asked, ['start candor-edge.service'])
      assert.match(`${unit.said()}\n${unit.lines()}`, new RegExp(`error at ${fault}`))
    }
    unit.fault = 'none'
    await unit.start()
    assert.equal([unit.onCard('claim.json'), unit.said()], [null, 'enrolled: this unit is a camera'])
  })
})

test('a refused claim of a unit that is no camera yet is asked with again after an hour, then once a day, and told once', async () => {
  await withUnit(async (unit) => {
    const { enrolment } = unit.world.cloud.parts
    const refused = await putClaim(unit, A, false)
    await enrolment.revoke(A, 'ada')
    unit.put('unit.json', UNIT)
    unit.waitMs = 0
    const asksWithin = async (ms: number) => {
      const before = await unit.world.counted('candor_denied_total{rule="claim_over"}')
      await unit.start(() => unit.sleptMs >= ms)
      assert.ok(unit.sleptMs >= ms, 'it went on looking')
      return (await unit.world.counted('candor_denied_total{rule="claim_over"}')) - before
    }
    const HOUR_MS = CLAIM_AGAIN_MS
    assert.is(await asksWithin(HOUR_MS), 1)
    assert.is(unit.reports.length, 1)
    assert.match(unit.said(), /^waiting: the claim on the card was refused, stays there.*again in an hour.*: .*expired/)
    assert.is(await asksWithin(25 * HOUR_MS), 2)
    assert.match(unit.said(), /again in a day/)
    assert.is(await asksWithin(26 * HOUR_MS), 3)
    assert.is(unit.onCard('claim.json'), refused)

    // What is wrong with the card for a while is told, and the refusal again when that is over.
    await unit.start(() => {
      unit.fault = unit.sleptMs === 5 * 60_000 ? 'open' : 'none'
      return unit.sleptMs >= HOUR_MS
    })
    assert.equal(
      unit.reports.map((report) => (/refused|error at open/.exec(report) ?? [report])[0]),
      ['refused', 'error at open', 'refused'],
    )

    // Another claim on the card is asked with at the next look.
    const other = await putClaim(unit, A, false)
    unit.put('claim.json', refused)
    unit.waitMs = 20
    const ended = unit.start(() => {
      if (unit.sleptMs === 3 * 60_000) unit.put('claim.json', other)
      return false
    })
    await until('it asks', () => unit.said().startsWith('pending'))
    await approve(unit)
    await ended
    assert.equal(unit.asked, ['start candor-edge.service'])
  })
})

test('a card that cannot be read keeps the unit looking', async () => {
  let looks = 0
  const ended = provision({
    places: { cameraFolder: '/none/camera', enrollingFolder: '/none/enrolling', pageOpenedFile: '/none/opened' },
    async openCard() {
      looks += 1
      throw new AppError('unavailable', 'no card')
    },
    clock: {
      ...systemClock,
      async sleep() {
        if (looks === 2) throw new SwitchedOff()
      },
    },
    systemctl: async () => {},
    report: async () => {},
    say: () => {},
  })
  assert.ok((await ended.catch((thrown: unknown) => thrown)) instanceof SwitchedOff)
  assert.is(looks, 2)
})

test.run()
