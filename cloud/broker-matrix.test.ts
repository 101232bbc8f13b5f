/**
 * Who may publish and subscribe what: the whole table, written down here by hand and by nobody's code, and every cell of it tried
 * at the real broker. What is refused is counted and in the audit.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../shared/ids.ts'
import { TOPIC_RIGHTS } from '../shared/topics.ts'
import type { Role } from './permissions.ts'
import { AGENCY, inCloud, publish, subscribe, until } from './testing.ts'

const ROLES = [
  ...['officer', 'supervisor', 'investigator', 'hotlist-admin', 'camera-technician', 'policy-admin'],
  ...['account-admin', 'auditor'],
] as const satisfies readonly Role[]
type Who = Role | 'camera'

const CAMERA = 'elm-st-1'
const PEOPLE: readonly Who[] = ROLES
const READ_ALERTS: readonly Who[] = ['officer', 'supervisor', 'investigator']
const SEE_CAMERAS: readonly Who[] = ['camera-technician', 'auditor']
const NOBODY: readonly Who[] = []

/** `kind` as in the contract's own table of topics; `publishes` and `subscribes`: exactly these, of a person or the camera itself. */
interface Row {
  kind: string
  topic: string
  publishes: readonly Who[]
  subscribes: readonly Who[]
}

const of = (camera: string) => `candor/v1/${AGENCY}/cameras/${camera}`
const agency = `candor/v1/${AGENCY}`
const OWN: readonly Who[] = ['camera']

const TABLE: readonly Row[] = [
  { kind: 'cameras/{camera}/sightings', topic: `${of(CAMERA)}/sightings`, publishes: OWN, subscribes: NOBODY },
  {
    kind: 'cameras/{camera}/crops/{sightingId}',
    topic: `${of(CAMERA)}/crops/${newId()}`,
    publishes: OWN,
    subscribes: NOBODY,
  },
  { kind: 'cameras/{camera}/status', topic: `${of(CAMERA)}/status`, publishes: OWN, subscribes: NOBODY },
  { kind: 'cameras/{camera}/health', topic: `${of(CAMERA)}/health`, publishes: OWN, subscribes: NOBODY },
  { kind: 'cameras/{camera}/acks/{subject}', topic: `${of(CAMERA)}/acks/policy`, publishes: OWN, subscribes: NOBODY },
  {
    kind: 'cameras/{camera}/requests/{operation}/{id}',
    topic: `${of(CAMERA)}/requests/list-key/1`,
    publishes: OWN,
    subscribes: NOBODY,
  },
  {
    kind: 'cameras/{camera}/commands/{operation}/{id}',
    topic: `${of(CAMERA)}/commands/reboot/1`,
    publishes: NOBODY,
    subscribes: NOBODY,
  },
  { kind: 'hotlists/{list}/manifest', topic: `${agency}/hotlists/stolen/manifest`, publishes: NOBODY, subscribes: OWN },
  {
    kind: 'hotlists/{list}/snapshot/{version}/{chunk}',
    topic: `${agency}/hotlists/stolen/snapshot/1/0`,
    publishes: NOBODY,
    subscribes: OWN,
  },
  {
    kind: 'hotlists/{list}/delta/{version}/{chunk}',
    topic: `${agency}/hotlists/stolen/delta/1/0`,
    publishes: NOBODY,
    subscribes: OWN,
  },
  { kind: 'signing-keys/{version}', topic: `${agency}/signing-keys/1`, publishes: NOBODY, subscribes: NOBODY },
  { kind: 'policy', topic: `${agency}/policy`, publishes: NOBODY, subscribes: OWN },
  { kind: 'fleet/alarms', topic: `${agency}/fleet/alarms`, publishes: NOBODY, subscribes: SEE_CAMERAS },
  { kind: 'alerts/{group}', topic: `${agency}/alerts/patrol`, publishes: NOBODY, subscribes: READ_ALERTS },
]

/** Filters, which nobody can publish to. */
const FILTERS: readonly [string, readonly Who[]][] = [
  [`${agency}/cameras/+/sightings`, ['supervisor']],
  [`${agency}/cameras/+/status`, PEOPLE],
  [`${agency}/hotlists/+/manifest`, [...PEOPLE, 'camera']],
  [`${agency}/signing-keys/+`, OWN],
  [`${of(CAMERA)}/commands/+/+`, OWN],
  [`${of('oak-st-2')}/commands/+/+`, NOBODY],
  [`${agency}/hotlists/stolen/snapshot/1/+`, OWN],
  [`${agency}/fleet/+`, NOBODY],
  ['candor/v1/shelbyville/fleet/alarms', NOBODY],
  [`${agency}/alerts/traffic`, NOBODY],
  [`${agency}/alerts/+`, NOBODY],
  [`${agency}/cameras/+/crops/+`, NOBODY],
  [`${agency}/#`, NOBODY],
  ['#', NOBODY],
  ['$SYS/#', NOBODY],
  ['candor/v1/shelbyville/alerts/patrol', NOBODY],
  ['candor/v1/shelbyville/policy', NOBODY],
]

test('every kind of topic of the contract stands in the table', () => {
  assert.equal(TABLE.map(({ kind }) => kind).sort(), TOPIC_RIGHTS.map(({ topic }) => topic).sort())
})

test('each role and a camera subscribe to what the table allows and to nothing else, and refusals are in the audit', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(CAMERA)
    let refused = 0
    await Promise.all(
      ([...ROLES, 'camera'] as const).map(async (who) => {
        const client =
          who === 'camera'
            ? await world.connectCamera(CAMERA, certified)
            : await world.connectPerson(who, await world.addPerson(who, [who], ['patrol']))
        const cells = [...TABLE.map(({ topic, subscribes }) => [topic, subscribes] as const), ...FILTERS]
        for (const [filter, allowed] of cells) {
          const isAllowed = allowed.includes(who)
          if (!isAllowed) refused += 1
          assert.is((await subscribe(client, filter)) !== 'refused', isAllowed, `${who} subscribes to ${filter}`)
        }
        assert.ok(client.connected, `${who}: a refused subscription ends nothing`)
      }),
    )
    assert.is(await world.counted('candor_denied_total{rule="subscribe"}'), refused)
    await until('everybody’s refusal is in the audit', async () => {
      const denied = (await world.audited('broker.denied')).filter(({ rule }) => rule === 'subscribe')
      return [...ROLES, CAMERA].every((who) => denied.some(({ subject }) => subject?.id === who))
    })
  })
})

test('people publish nothing, whatever their role, and a camera only its own reports; refusals end the connection', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(CAMERA)
    let refused = 0
    const elsewhere = TABLE.map(({ topic }) => topic.replace(CAMERA, 'oak-st-2')).filter((topic) =>
      topic.includes('oak'),
    )
    await Promise.all(
      ([...ROLES, 'camera'] as const).map(async (who) => {
        const token = who === 'camera' ? '' : await world.addPerson(who, [who], ['patrol'])
        const connect = () =>
          who === 'camera' ? world.connectCamera(CAMERA, certified) : world.connectPerson(who, token)
        const cells = [
          ...TABLE.map(({ topic, publishes }) => [topic, publishes.includes(who)] as const),
          ...elsewhere.map((topic) => [topic, false] as const),
        ]
        for (const [topic, isAllowed] of cells) {
          const client = await connect()
          if (!isAllowed) refused += 1
          const outcome = await publish(client, topic, '{}')
          assert.is(outcome, isAllowed ? 'acknowledged' : 'closed', `${who} publishes ${topic}`)
          await client.endAsync(true)
        }
      }),
    )
    assert.is(await world.counted('candor_denied_total{rule="publish"}'), refused)
    await until('everybody’s refusal is in the audit', async () => {
      const denied = (await world.audited('broker.denied')).filter(({ rule }) => rule === 'publish')
      return [...ROLES, CAMERA].every((who) => denied.some(({ subject }) => subject?.id === who))
    })
  })
})

test('disabling an account ends its sessions and its connections at the broker within a second, and it stays out', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const clients = await Promise.all(
      ['phone', 'desk'].map((device) => world.connectPerson('olga', token, { clientId: `olga.${device}` })),
    )
    const other = await world.connectPerson('lee', await world.addPerson('lee', ['officer'], ['patrol']))
    const closed = Promise.all(
      clients.map((client) => new Promise<void>((resolve) => client.once('close', () => resolve()))),
    )
    const startMs = performance.now()
    await world.cloud.parts.accounts.disable('olga', 'ada')
    await closed
    const tookMs = performance.now() - startMs
    assert.ok(tookMs < 1_000, `${tookMs} ms`)
    assert.is(await world.cloud.parts.accounts.authenticate(token), null)
    const again = world.connectPerson('olga', token).then(
      () => 'connected',
      () => 'refused',
    )
    assert.is(await again, 'refused')
    assert.ok(other.connected, 'nobody else')
  })
})

test.run()
