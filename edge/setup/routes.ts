/**
 * What the set-up page asks for, a row each. Called by server.ts once a request has passed everything that holds for all; changes nothing but
 * the draft, the camera and the claim that it is handed.
 */
import { z } from 'zod'
import { checkConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { MAX_MASKS, MAX_POLYGON_POINTS } from '../../shared/polygon.ts'
import { MAX_CLAIM_FILE_BYTES } from '../../shared/wire/index.ts'
import { numberedPortProblem } from '../capture/gphoto2.ts'
import { type SourceConfig, sourceSchema } from '../capture/sources.ts'
import type { UsbDevice } from '../capture/usb.ts'
import type { Finding } from '../checks.ts'
import { areasSchema } from '../vision/areas.ts'
import type { Access } from './access.ts'
import type { PageAsset } from './assets.ts'
import type { Look, SetupCamera } from './camera.ts'
import type { SetupClaim } from './claim.ts'
import { CREDENTIALS_FILE, type Draft } from './draft.ts'
import { MAX_CODE_CHARACTERS, PLATE_WIDTH_PX } from './limits.ts'
import { type Answer, COOKIE, type Route } from './server.ts'

export interface RouteDeps {
  access: Access
  camera: SetupCamera
  claim: SetupClaim
  draft: Draft
  assets: readonly PageAsset[]
  software: string
  runChecks(): Promise<Finding[]>
  usbDevices(): Promise<UsbDevice[]>
  /** User and password for a camera on the network, into the file beside the configuration. */
  writeCredentials(login: string): Promise<void>
  /** The configuration is written: the process ends behind this answer. */
  onFinished(): void
  log: Log
}

const loginSchema = z.strictObject({ code: z.string().max(4 * MAX_CODE_CHARACTERS) })
const claimSchema = z.strictObject({
  text: z.string().min(1).max(MAX_CLAIM_FILE_BYTES),
  cloud: z.string().max(300).optional(),
  caSha256: z.string().max(200).optional(),
})
const login = z.string().regex(/^[^\s:]{1,64}$/, 'without blanks and colons')
/** What can be chosen from the page: not a program, a path of pictures or a file of this machine. */
const choiceSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('rpicam'), rotation: z.union([z.literal(0), z.literal(180)]).default(0) }),
  z.strictObject({
    kind: z.literal('gphoto2'),
    capture: z.enum(['auto', 'preview', 'still']).default('auto'),
    /** Absent: as it stands. */
    port: z.string().max(128).nullable().optional(),
  }),
  z.strictObject({
    kind: z.literal('stream'),
    address: z.string().max(2_048),
    user: login.optional(),
    password: z
      .string()
      .regex(/^[^\r\n]{1,128}$/)
      .optional(),
  }),
])
const exposureSchema = z.strictObject({ settings: z.unknown(), night: z.unknown() })

/** Throws `bad_input` instead of `configuration`: it came from the page. */
function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  try {
    return checkConfig(value, schema, 'this')
  } catch (thrown) {
    // Behind a first line that counts them, a line for each problem.
    const [, ...lines] = thrown instanceof Error ? thrown.message.split('\n') : []
    throw new AppError('bad_input', lines.map((line) => line.trim()).join('; ') || 'not as expected')
  }
}

/** A camera's password goes to nobody else, whoever is on the page: not to another machine, port or protocol. */
function isSameServer(before: string, now: string): boolean {
  const [one, other] = [before, now].map((address) => (URL.canParse(address) ? new URL(address) : null))
  return one != null && other != null && one.protocol === other.protocol && one.host === other.host
}

/** Length of the JSON in 4 bytes, the JSON, the JPEG: what was read and the frame that it was read from stay together. */
function lookBytes({ jpeg, ...rest }: Look): Buffer {
  const reads = rest.reads.map(({ plate, confidence, region, corners, jurisdiction }) => ({
    ...{ plate, confidence, region, corners },
    jurisdiction: jurisdiction?.code ?? null,
  }))
  const json = Buffer.from(JSON.stringify({ ...rest, reads }))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json, jpeg])
}

function exposureOf(source: SourceConfig | null, camera: SetupCamera): unknown {
  if (source?.kind === 'rpicam') return { kind: 'rpicam', settings: source.settings, night: source.night ?? null }
  if (source?.kind === 'gphoto2') {
    const { offered, refused } = camera
    return { kind: 'gphoto2', settings: source.settings, night: source.night ?? null, offered, refused }
  }
  const why: Record<string, string> = {
    stream: 'This camera is set by its own page; one on USB by v4l2-ctl, on a unit that can be logged in to.',
    replay: 'Pictures from a file have nothing to set.',
  }
  return { kind: 'none', why: source === null ? 'No camera is chosen yet.' : why[source.kind] }
}

/** Without passwords: an address has none by the schema, and the file with them is only named. */
function shownSource(source: SourceConfig | null): unknown {
  if (source === null) return null
  const { kind } = source
  if (kind === 'stream') return { kind, address: source.address, hasLogin: source.credentialsFile !== undefined }
  if (kind === 'rpicam') return { kind, rotation: source.rotation }
  return kind === 'gphoto2' ? { kind, capture: source.capture, port: source.port } : { kind }
}

export function setupRoutes(deps: RouteDeps): Route[] {
  const { access, camera, claim, draft, log } = deps
  const done: Answer = { json: {} }

  const fieldOf = (source: SourceConfig | null, field: string): unknown =>
    new Map(Object.entries(source ?? {})).get(field)
  /** `wanted` where it is another than what is taken now, which makes it the technician's; else what is the unit's own. */
  function own(field: 'settings' | 'night' | 'rotation' | 'capture' | 'port', wanted: unknown): unknown {
    if (JSON.stringify(fieldOf(draft.taken, field)) === JSON.stringify(wanted)) return fieldOf(draft.source, field)
    draft.touched.add(`source.${field}`)
    return wanted
  }

  async function turn(source: SourceConfig): Promise<Answer> {
    draft.source = source
    await camera.setSource(draft.resolvedSource())
    return done
  }

  const state = async (): Promise<Answer> => ({
    json: {
      software: deps.software,
      camera: draft.camera,
      source: shownSource(draft.taken),
      bodies: (await deps.usbDevices())
        .filter(({ isCamera }) => isCamera)
        .map(({ port, name, serialNumber }) => ({ port, name, serialNumber })),
      live: camera.live,
      problem: camera.problem,
      exposure: exposureOf(draft.taken, camera),
      view: draft.view,
      claim: claim.status,
      idleLeftMs: access.idleLeftMs(),
      plateWidthPx: PLATE_WIDTH_PX,
      limits: { masks: MAX_MASKS, points: MAX_POLYGON_POINTS },
    },
  })

  const routes: Route[] = [
    ...deps.assets.map(
      ({ path, type, bytes }): Route => ({
        ...{ method: 'GET', path, open: true },
        answer: () => ({ bytes, headers: { 'content-type': type } }),
      }),
    ),
    {
      ...{ method: 'POST', path: '/api/login', open: true },
      answer({ json }) {
        const answer = access.logIn(checked(loginSchema, json).code)
        if ('token' in answer) {
          log.info('setup_login', { outcome: 'opened' })
          const cookie = `${COOKIE}=${answer.token}; Path=/; Secure; HttpOnly; SameSite=Strict`
          return { json: {}, headers: { 'set-cookie': cookie } }
        }
        log.warn('setup_login', { outcome: answer.refused })
        const code = answer.refused === 'busy' ? 'conflict' : 'unauthenticated'
        const status = { wrong: 401, pause: 429, busy: 409 }[answer.refused]
        return { status, json: { error: { code, message: refusalText(answer), hint: null }, ...answer } }
      },
    },
    {
      ...{ method: 'POST', path: '/api/logout' },
      answer() {
        access.logOut()
        return { json: {}, headers: { 'set-cookie': `${COOKIE}=; Path=/; Secure; HttpOnly; Max-Age=0` } }
      },
    },
    // The page says so when somebody touches it: that it asks for pictures by itself is no use.
    { ...{ method: 'POST', path: '/api/here' }, answer: () => done },
    { ...{ method: 'GET', path: '/api/state' }, answer: state },
    {
      ...{ method: 'GET', path: '/api/look' },
      async answer({ query, signal }) {
        const after = Number(query.get('after') ?? 0)
        const look = await camera.look(Number.isSafeInteger(after) ? after : 0, signal)
        if (look === null) return { status: 204 }
        return { bytes: lookBytes(look), headers: { 'content-type': 'application/octet-stream' } }
      },
    },
    {
      ...{ method: 'POST', path: '/api/view' },
      answer({ json }) {
        draft.view = checked(areasSchema, json)
        camera.setAreas(draft.view)
        return done
      },
    },
    {
      ...{ method: 'POST', path: '/api/exposure' },
      async answer({ json }) {
        const { settings, night } = checked(exposureSchema, json)
        const { source } = draft
        if (source?.kind !== 'rpicam' && source?.kind !== 'gphoto2')
          throw new AppError('conflict', 'this camera is not set from here')
        const { night: _, ...rest } = source
        const wanted = checked(sourceSchema, { ...rest, settings, ...(night === null ? {} : { night }) })
        if (wanted.kind !== 'rpicam' && wanted.kind !== 'gphoto2') return done
        const set = { settings: own('settings', wanted.settings), night: own('night', wanted.night) }
        return turn(checked(sourceSchema, { ...rest, ...set }))
      },
    },
    {
      ...{ method: 'POST', path: '/api/source' },
      async answer({ json }) {
        const choice = checked(choiceSchema, json)
        // A camera of the same kind keeps what was set for it.
        const before = draft.source?.kind === choice.kind ? draft.source : {}
        const problem = choice.kind === 'gphoto2' ? numberedPortProblem(choice.port ?? null) : null
        if (problem !== null) throw new AppError('bad_input', problem)
        if (choice.kind !== 'stream') {
          const { kind } = choice
          const set =
            kind === 'rpicam'
              ? { rotation: own('rotation', choice.rotation) }
              : {
                  capture: own('capture', choice.capture),
                  ...(choice.port === undefined ? {} : { port: own('port', choice.port) }),
                }
          return turn(checked(sourceSchema, { ...before, kind, ...set }))
        }
        const { user, password, ...rest } = choice
        const isSame = draft.source?.kind === 'stream' && isSameServer(draft.source.address, choice.address)
        const login =
          user === undefined ? !isSame && { credentialsFile: undefined } : { credentialsFile: CREDENTIALS_FILE }
        const source = checked(sourceSchema, { ...before, ...rest, ...login })
        if (user !== undefined) await deps.writeCredentials(`${user}:${password ?? ''}\n`)
        return turn(source)
      },
    },
    {
      ...{ method: 'POST', path: '/api/checks' },
      answer: async () => ({ json: { findings: await deps.runChecks() } }),
    },
    {
      ...{ method: 'POST', path: '/api/claim' },
      async answer({ json }) {
        if (draft.camera !== null) {
          throw new AppError('conflict', 'the unit is a camera already', {
            hint: 'it is enrolled again by a claim on its card, or by `candor enrol` on it',
          })
        }
        await claim.start(checked(claimSchema, json))
        return state()
      },
    },
    {
      ...{ method: 'POST', path: '/api/finish' },
      async answer() {
        await draft.commit()
        log.info('setup_finished', { cameraId: draft.camera?.cameraId ?? '' })
        deps.onFinished()
        return done
      },
    },
  ]
  // What somebody does on the page keeps the log-in open.
  return routes.map((route) =>
    route.method === 'POST' && route.open !== true && route.path !== '/api/logout'
      ? {
          ...route,
          answer(asked) {
            access.touch()
            return route.answer(asked)
          },
        }
      : route,
  )
}

function refusalText(answer: Exclude<ReturnType<Access['logIn']>, { token: string }>): string {
  if (answer.refused === 'busy') return 'Somebody is logged in already. A new code is shown when that log-in ends.'
  if (answer.refused === 'wrong') return `This is not the code. ${answer.triesLeft} more tries.`
  return `Too many wrong codes. Wait ${Math.ceil(answer.retryInMs / 1_000)} s, then type the new code that the unit shows.`
}
