/** What the tests of sharing have in common: real clouds, paired or not, in one process. */
import { request as requestHttps } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { HOUR_MS } from '../../shared/clock.ts'
import { topics } from '../../shared/topics.ts'
import type { Sighting } from '../../shared/wire/index.ts'
import { callerOf } from '../api/testing.ts'
import type { Actor, AuditEntry } from '../audit/entry.ts'
import type { CloudConfig } from '../config.ts'
import type { CloudDeps } from '../main.ts'
import type { Role } from '../permissions.ts'
import type { PolicyChange } from '../policy.ts'
import {
  type Certified,
  createMovableClock,
  inCloud,
  type MovableClock,
  makeSighting,
  publish,
  type TestCloud,
  until,
} from '../testing.ts'
import type { AgencyAnswer } from './asking.ts'
import type { Asked } from './facts.ts'
import type { Grant, NewGrant } from './grants.ts'
import { readIdentity } from './identity.ts'
import { PATHS, type SharedSearchRequest } from './wire.ts'

export const PLATE = 'ABC1230'
export const CAMERA = 'elm-st-1'
export const PURPOSE = 'stolen-vehicle'

/** Everything that the owner's policy needs to say before anything can be shared. */
export const OPEN: PolicyChange = {
  uses: {
    purposes: [
      { code: PURPOSE, label: 'stolen vehicles' },
      { code: 'missing-person', label: 'missing persons' },
    ],
    offenceTypes: [],
    prohibited: [{ code: 'immigration', label: 'immigration enforcement', words: ['immigration', 'deportation'] }],
  },
  search: { scopes: [{ role: 'partner', maxAgeDays: null, purposes: [], patterns: true, exports: false }] },
  sharing: { allowed: true, jurisdictions: [], maxGrantDays: 365 },
}

/** The only place that knows how a test changes a policy. */
export async function setPolicy(world: TestCloud, change: PolicyChange): Promise<void> {
  const { policy } = world.cloud.parts
  await policy.change(policy.current().version, change, 'test')
}

/** `inCloud` for another agency, with a listener for partners. */
export function inAgency(
  agency: string,
  work: (world: TestCloud) => Promise<void>,
  { clock = createMovableClock(), ...more }: CloudDeps & { clock?: MovableClock; config?: Partial<CloudConfig> } = {},
): Promise<void> {
  const { config = {}, ...deps } = more
  return inCloud(work, { agency, federationPort: 0, ...config }, {}, clock, deps)
}

/** springfield, which asks, and shelby, which owns the reads; both listen. */
export function inTwoClouds(
  work: (asker: TestCloud, owner: TestCloud) => Promise<void>,
  options: { askerDeps?: CloudDeps; ownerDeps?: CloudDeps; clock?: MovableClock } = {},
): Promise<void> {
  const { clock = createMovableClock() } = options
  return inAgency(
    'springfield',
    (asker) => inAgency('shelby', (owner) => work(asker, owner), { ...options.ownerDeps, clock }),
    { ...options.askerDeps, clock },
  )
}

export async function addPartner(world: TestCloud, other: TestCloud, jurisdiction = 'US-VA'): Promise<void> {
  const identity = readIdentity(await other.cloud.parts.sharing.identity())
  const { fingerprint, agency } = identity
  await world.cloud.parts.sharing.partners.add(
    identity,
    { name: `${agency} police`, jurisdiction, fingerprint },
    'petra',
  )
}

export async function pair(asker: TestCloud, owner: TestCloud): Promise<void> {
  await addPartner(asker, owner)
  await addPartner(owner, asker)
}

export function grantOf(world: TestCloud, change: Partial<NewGrant> = {}): NewGrant {
  const nowMs = world.clock.nowMs()
  return {
    ...{ partner: 'springfield', purposes: [PURPOSE], what: 'sightings', cameras: [], maxAgeDays: 21 },
    ...{ fromMs: nowMs, untilMs: nowMs + 24 * HOUR_MS, crops: false, patterns: false },
    ...change,
  } as NewGrant
}

export function giveGrant(world: TestCloud, change: Partial<NewGrant> = {}): Promise<Grant> {
  return world.cloud.parts.sharing.grants.add(grantOf(world, change), 'petra')
}

/** Paired, with a policy that allows it, and one read of PLATE at the owner. */
export async function prepare(asker: TestCloud, owner: TestCloud): Promise<void> {
  await pair(asker, owner)
  await setPolicy(owner, OPEN)
  await see(owner)
}

const cameras = new WeakMap<TestCloud, Certified>()

/** The camera reports a read. */
export async function see(world: TestCloud, change: Partial<Sighting> = {}, crop?: Buffer): Promise<Sighting> {
  const { agency } = world.cloud.parts
  let certified = cameras.get(world)
  if (certified === undefined) {
    const { keyPem, csrPem } = newCameraRequest(CAMERA)
    const { certPem } = await world.cloud.parts.cameras.add(CAMERA, csrPem, 'test')
    certified = { key: keyPem, cert: certPem }
    cameras.set(world, certified)
  }
  const client = await world.connectTls({ clientId: `${agency}.${CAMERA}`, ...certified })
  const sighting = makeSighting(world.clock, { plate: PLATE, cameraId: CAMERA, ...change })
  await publish(client, topics.sightings(agency, CAMERA), JSON.stringify(sighting))
  if (crop !== undefined) await publish(client, topics.crop(agency, CAMERA, sighting.sightingId), crop)
  await client.endAsync()
  return sighting
}

export const ASKED: Asked = {
  ...{ plate: PLATE, fromMs: null, toMs: null, cameras: [], limit: 50, purpose: PURPOSE },
  ...{ caseNumber: '24-00123', offenceType: 'burglary', reason: 'vehicle seen at the break-in' },
}

export const INES: Actor = { account: 'ines', roles: ['investigator'] as Role[], session: 's-1', source: '127.0.0.1' }

/** As the API does it behind the own search, whose number is 1 here. */
export function ask(asker: TestCloud, change: Partial<Asked> = {}, partner = 'shelby'): Promise<AgencyAnswer> {
  return asker.cloud.parts.sharing.asking.search(partner, { ...ASKED, ...change }, { actor: INES, completes: 1 })
}

/** The same over the API: the route, and a body that it takes. */
export const SEARCH_URL = '/api/v1/search/agencies'
export const SEARCH = { ...ASKED, agencies: ['shelby'] }

/** A search at partners, when each of them has answered. */
export async function followed(world: TestCloud, token: string, askId: string) {
  // biome-ignore lint/suspicious/noExplicitAny: a reply that is looked into field by field
  let ask: any = null
  await until('each partner has answered', async () => {
    ask = (await callerOf(world.cloud)('GET', `${SEARCH_URL}/${askId}`, { token })).json
    return ask.agencies.every(({ answer }: { answer: unknown }) => answer !== null)
  })
  return ask
}

/** The newest entry of that operation. */
export async function lastEntry(world: TestCloud, operation: string): Promise<AuditEntry> {
  const [entry] = await world.audited(operation)
  if (entry === undefined) throw new Error(`no entry ${operation}`)
  return entry
}

/** Who is refused before a request is written down beside the answer, which waits for nothing. */
export function denied(world: TestCloud, rule: string): Promise<void> {
  return until(`${rule} is written down`, async () =>
    (await world.audited('federation.denied')).some((entry) => entry.rule === rule),
  )
}

export interface RawReply {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: replies of many shapes are looked into field by field
  json: any
  socket: TLSSocket
}

/** A request past our own client: any certificate, any path, on a connection that may be kept. Rejects when the connection fails. */
export function rawRequest(
  to: { port: number; caPem: string },
  shown: Partial<Certified>,
  path: string,
  body: unknown,
  more: { agent?: import('node:https').Agent; method?: string } = {},
): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const bytes = typeof body === 'string' ? body : JSON.stringify(body)
    const outgoing = requestHttps(
      {
        ...{ host: '127.0.0.1', servername: 'localhost', port: to.port, ca: to.caPem, ...shown, path },
        ...{ method: more.method ?? 'POST', agent: more.agent ?? false },
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) },
      },
      (incoming) => {
        const socket = incoming.socket as TLSSocket
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const json = text.startsWith('{') ? JSON.parse(text) : null
          resolve({ status: incoming.statusCode ?? 0, json, socket })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(bytes)
  })
}

export async function certifiedOf(world: TestCloud): Promise<Certified> {
  const { keyPem, certPem } = await world.cloud.parts.authority.partner()
  return { key: keyPem, cert: certPem }
}

export const listenerOf = (world: TestCloud) => ({
  port: world.cloud.federationPort ?? 0,
  caPem: world.cloud.caPem,
})

/** A well-formed request of springfield's ines, as it goes over the line. */
export function requestOf(world: TestCloud, change: Partial<SharedSearchRequest> = {}): SharedSearchRequest {
  return {
    ...ASKED,
    ...{ requestId: world.cloud.parts.newId(), sentAtMs: world.clock.nowMs(), auditSeq: 1 },
    person: { account: 'ines', roles: ['investigator'], organisation: 'springfield' },
    ...change,
  }
}

export const SEARCH_PATH = PATHS.search
