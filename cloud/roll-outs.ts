/**
 * Roll-outs: a release of the units' system, or settings of their cameras, brought to the fleet in stages. Each camera is told by a signed
 * command, tries it, and says how it went; too many that go wrong stop the roll-out before the next stage. Owns tables roll_outs and
 * roll_out_turns; called by the API, by ingest with acknowledgements, and once a minute.
 */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { NewId } from '../shared/ids.ts'
import type { Log } from '../shared/log.ts'
import { cameraClientId } from '../shared/names.ts'
import type { Signer } from '../shared/signing.ts'
import {
  cameraSettingsSchema,
  MAX_SETTINGS_BYTES,
  ROLL_OUT_KINDS,
  type RollOutAck,
  type RollOutKind,
} from '../shared/wire/index.ts'
import { CLOUD_ACTOR } from './audit/entry.ts'
import type { Audit } from './audit/log.ts'
import type { Cameras } from './cameras.ts'
import type { Database } from './database/database.ts'
import type { RollOutsTable } from './database/schema-roll-outs.ts'
import {
  checkStages,
  DEFAULT_STAGES,
  isDrawnInVain,
  isOver,
  MAY_BE,
  noticeOf,
  type RollOutState,
  type RollOutVerb,
  stagesOf,
  stillSince,
  toTell,
  verdictOf,
  waitsFor,
  wentWrong,
} from './roll-outs/plan.ts'
import { createReleases, freeBytesOf, type Releases } from './roll-outs/releases.ts'
import { createStanding, type SaidSettings } from './roll-outs/standing.ts'
import { type Back, takingBack } from './roll-outs/taking-back.ts'
import { createTurns, IS_OPEN, isToldLately, MAX_TURNS, type RollOutTurn } from './roll-outs/turns.ts'
import type { NewRollOut, RollOut } from './roll-outs/types.ts'
import type { WebhookNotice } from './webhooks/notices.ts'
import type { Queued } from './webhooks.ts'

type Change = Partial<RollOutsTable>

export const DEFAULT_SOAK_MINUTES = 60
export const MAX_SOAK_MINUTES = 14 * 24 * 60
export const MAX_ROLL_OUT_REASON = 500
/** Ended roll-outs that are shown. */
export const MAX_ROLL_OUT_PAGE = 100

export interface RollOuts {
  readonly releases: Releases
  /** Throws `bad_input`, `not_found`, `conflict` while another of its kind is open, `too_large`. */
  start(wanted: NewRollOut, by: string): Promise<RollOut>
  /** Newest first. */
  list(): Promise<RollOut[]>
  /** Throws `not_found`. */
  get(number: number): Promise<{ rollOut: RollOut; turns: RollOutTurn[] }>
  /** Throws `not_found`, `conflict` where its state does not allow it, `forbidden` where the policy wants another person. */
  act(number: number, verb: RollOutVerb, by: string): Promise<RollOut>
  /** The settings that the cameras with those of `number` had before, as a roll-out to them alone. Throws `conflict` where they differ. */
  revert(number: number, by: string): Promise<RollOut>
  /** May `token` fetch this release now? The turn's id, or null. */
  mayFetch(sha256: string, token: string): Promise<string | null>
  /** Throws `conflict` while it is being rolled out, `not_found`. */
  removeRelease(sha256: string): Promise<void>
  /** false: no turn of this camera. Nothing of it fails the transaction that it came in. */
  recordAck(camera: string, ack: RollOutAck): Promise<boolean>
  /** By camera: the roll-out whose settings it is meant to work by. */
  meant(): Promise<Map<string, number>>
  /** Once a minute: tells cameras whose turn it is, and takes stages further. */
  upkeep(): Promise<void>
}

export interface RollOutsDeps {
  database: Database
  agency: string
  releasesFolder: string
  cameras: Pick<Cameras, 'certificatesInUse'>
  audit: Pick<Audit, 'append'>
  signer: Signer
  /** Does the policy want a second person? */
  secondPerson: () => boolean
  httpsPort: () => number
  publish: (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>
  isConnected: (clientId: string) => boolean
  /** By camera: by which settings it says that it works; those that do not say are not in it. */
  saidSettings: () => ReadonlyMap<string, SaidSettings>
  /** Notices of what was halted, for the transaction that halts it. */
  queue: (notices: readonly WebhookNotice[]) => Queued
  /** Told how many are halted, and how many stand still, whenever that may have changed. */
  onCounted: (rollOuts: { halted: number; still: number }) => void
  clock: Clock
  newId: NewId
  newSecret: (byteCount: number) => string
  log: Log
}

export function createRollOuts(deps: RollOutsDeps): RollOuts {
  const { database, agency, clock, audit } = deps
  const { build } = database
  const releases = createReleases({ database, folder: deps.releasesFolder, clock, freeBytes: freeBytesOf })
  const turns = createTurns({ ...deps, releases })
  const isConnected = (camera: string) => deps.isConnected(cameraClientId(agency, camera))
  const units = () => new Map(deps.cameras.certificatesInUse().map((one) => [one.camera, one.fingerprint]))
  const isActive = () => new Set(units().keys())

  async function row(number: number): Promise<RollOutsTable> {
    const [found] = await database.read(build.selectFrom('roll_outs').selectAll().where('number', '=', number))
    if (found !== undefined) return found
    throw new AppError('not_found', `there is no roll-out ${number}`, { hint: 'see `candor roll-out list`' })
  }

  async function shown(found: RollOutsTable): Promise<RollOut> {
    const counted = await database.read(
      build
        .selectFrom('roll_out_turns')
        .select(['state', ({ fn }) => fn.countAll<number>().as('cameras')])
        .where('number', '=', found.number)
        .groupBy('state'),
    )
    const counts = Object.fromEntries(counted.map(({ state, cameras }) => [state, cameras])) as RollOut['counts']
    return {
      ...{ number: found.number, kind: found.kind as RollOutKind, sha256: found.sha256 },
      settings: found.settings === null ? null : cameraSettingsSchema.parse(JSON.parse(found.settings)),
      ...{ stages: JSON.parse(found.stages) as number[], soakMs: found.soak_ms },
      ...{ state: found.state as RollOutState, stage: found.stage, because: found.because, reason: found.reason },
      stillSinceMs: found.state === 'running' ? found.still_since_ms : null,
      ...{ madeAtMs: found.made_at_ms, madeBy: found.made_by, approvedBy: found.approved_by },
      ...{ endedAtMs: found.ended_at_ms, counts },
    }
  }

  /** Only from one of `states`: two who decide at once do not both. */
  async function move(number: number, states: readonly RollOutState[], change: Change, notices: WebhookNotice[] = []) {
    const update = build.updateTable('roll_outs').set(change).where('number', '=', number)
    const { statements, committed } = deps.queue(notices)
    const [moved, ...queued] = await database.writeBatch([update.where('state', 'in', [...states]), ...statements])
    committed(queued)
    if (moved?.changes !== 1) throw new AppError('conflict', `the state of roll-out ${number} does not allow that`)
    await count()
  }

  const rowsOfKinds = build.selectFrom('roll_outs').selectAll().where('kind', 'in', ROLL_OUT_KINDS)
  const openRows = () => database.read(rowsOfKinds.where(IS_OPEN))
  async function count(): Promise<void> {
    const rows = await openRows()
    const still = rows.filter((one) => one.state === 'running' && one.still_since_ms !== null)
    deps.onCounted({ halted: rows.filter(({ state }) => state === 'halted').length, still: still.length })
  }

  /** What the cloud itself decided. */
  const note = (operation: string, number: number, detail: Record<string, string | number | null>) =>
    audit.append({
      ...{ operation, outcome: 'allowed', actor: CLOUD_ACTOR },
      ...{ subject: { kind: 'roll_out', id: String(number) }, detail },
    })

  function chosen({ cameras, first }: NewRollOut): string[] {
    const active = isActive()
    const all = cameras.length === 0 ? [...active].sort() : [...new Set(cameras)]
    const unknown = [...all, ...first].filter((camera) => !active.has(camera))
    if (unknown.length > 0) throw new AppError('not_found', `there is no camera ${unknown.slice(0, 5).join(', ')}`)
    const strange = first.filter((camera) => !all.includes(camera))
    if (strange.length > 0) throw new AppError('bad_input', `${strange[0]} is first, and not among the cameras`)
    if (all.length === 0) throw new AppError('bad_input', 'there is no camera to roll out to')
    if (all.length > MAX_TURNS) throw new AppError('too_large', `a roll-out has at most ${MAX_TURNS} cameras`)
    return all
  }

  async function begin(wanted: NewRollOut, by: string, back?: Back): Promise<RollOut> {
    const { what, reason, stages = DEFAULT_STAGES, soakMinutes = DEFAULT_SOAK_MINUTES } = wanted
    checkStages(stages)
    const settings = what.kind === 'settings' ? JSON.stringify(what.settings) : null
    if (settings !== null && Buffer.byteLength(settings) > MAX_SETTINGS_BYTES)
      throw new AppError('too_large', `settings have at most ${MAX_SETTINGS_BYTES} bytes of JSON`)
    if (what.kind === 'image') await releases.get(what.sha256)
    const cameras = chosen(wanted)
    const open = (await openRows()).find(({ kind }) => kind === what.kind)
    if (open !== undefined) {
      throw new AppError('conflict', `roll-out ${open.number} of ${what.kind} is not over`, {
        hint: '`candor roll-out end` ends it',
      })
    }
    const [newest] = await database.read(
      build.selectFrom('roll_outs').select('number').orderBy('number', 'desc').limit(1),
    )
    const number = (newest?.number ?? 0) + 1
    const nowMs = clock.nowMs()
    const first = [...new Set(wanted.first)]
    const staged = stagesOf(cameras, stages, first, String(number), isConnected)
    const rows = cameras.map((camera) => ({
      ...{ target_id: deps.newId(), number, camera_id: camera, stage: staged.get(camera) ?? 0, state: 'waiting' },
      ...{ message: null, token: deps.newSecret(24), told_at_ms: null, told_again_ms: null, changed_at_ms: nowMs },
      ...{ standing: 0, reopened: 0, reopened_at_ms: null, reopened_for: null },
    }))
    await database.writeBatch([
      build.insertInto('roll_outs').values({
        ...{ number, kind: what.kind, sha256: what.kind === 'image' ? what.sha256 : null, settings },
        ...{ stages: JSON.stringify(stages), soak_ms: soakMinutes * MINUTE_MS },
        ...{ state: deps.secondPerson() ? 'proposed' : 'running', stage: 0, since_ms: nowMs, forgiven: 0 },
        ...{ because: null, reason, made_at_ms: nowMs, made_by: by, approved_by: null, ended_at_ms: null },
        ...(back ?? { whole_from: wanted.cameras.length === 0 ? number : null, takes_back: null }),
        ...{ still_since_ms: null, named_first: JSON.stringify(first), resumed_ms: null },
      }),
      ...turns.insert(rows),
    ])
    await upkeep()
    return shown(await row(number))
  }

  let starting: Promise<unknown> = Promise.resolve()
  /** One after another: each takes the next number, and sees what is open. Without `back` it is to all where it names no cameras. */
  function start(wanted: NewRollOut, by: string, back?: Back): Promise<RollOut> {
    const started = starting.then(() => begin(wanted, by, back))
    starting = started.catch(() => {})
    return started
  }

  async function act(number: number, verb: RollOutVerb, by: string): Promise<RollOut> {
    const found = await row(number)
    const nowMs = clock.nowMs()
    if (verb === 'approve') {
      if (found.made_by === by) {
        throw new AppError('forbidden', 'the policy wants a second person', {
          hint: 'another camera technician approves; who started it may end it',
        })
      }
      await move(number, MAY_BE.approve, { state: 'running', since_ms: nowMs, approved_by: by })
    } else if (verb === 'pause') await move(number, MAY_BE.pause, { state: 'paused' })
    else if (verb === 'end') {
      // What nobody was told is not taken back.
      const isTold = (await turns.of(number)).some(({ toldAtMs }) => toldAtMs !== null)
      const back = isTold ? {} : { takes_back: null }
      await move(number, MAY_BE.end, { state: 'ended', ended_at_ms: nowMs, ...back })
    } else {
      const wrong = (await turns.of(number)).filter(wentWrong).length
      const stages = JSON.parse(found.stages) as number[]
      const further = verb === 'advance' ? { stage: Math.min(found.stage + 1, stages.length - 1), since_ms: nowMs } : {}
      await move(number, MAY_BE[verb], {
        state: 'running',
        because: null,
        forgiven: wrong,
        resumed_ms: nowMs,
        ...further,
      })
    }
    await upkeep()
    return shown(await row(number))
  }

  async function takeFurther(found: RollOutsTable): Promise<void> {
    const { number } = found
    let list = await turns.of(number)
    if (await turns.endLost(list, isActive())) list = await turns.of(number)
    const stages = JSON.parse(found.stages) as number[]
    if (found.named_first !== null && isDrawnInVain(list, isConnected)) {
      const names = list.map(({ camera }) => camera).sort()
      const first = JSON.parse(found.named_first) as string[]
      await turns.stage(list, stagesOf(names, stages, first, String(number), isConnected))
      list = await turns.of(number)
    }
    const plan = {
      ...{ stage: found.stage, lastStage: stages.length - 1, sinceMs: found.since_ms, soakMs: found.soak_ms },
      ...{ turns: list, forgiven: found.forgiven, resumedMs: found.resumed_ms },
    }
    const nowMs = clock.nowMs()
    const verdict = verdictOf(plan, isConnected, nowMs)
    if (verdict.kind === 'halt') {
      await note('roll_out.halted', number, { because: verdict.because })
      deps.log.error('roll_out_halted', { count: number, reason: verdict.because })
      const change = { state: 'halted', because: verdict.because }
      return move(number, ['running'], change, [noticeOf('roll_out_halted', found, verdict.because, nowMs)])
    }
    if (verdict.kind === 'done') {
      await note('roll_out.done', number, { cameras: list.length })
      return move(number, ['running'], { state: 'done', ended_at_ms: nowMs })
    }
    if (verdict.kind === 'advance') {
      await note('roll_out.stage', number, { percent: stages[found.stage + 1] ?? 100 })
      await move(number, ['running'], { stage: found.stage + 1, since_ms: nowMs, still_since_ms: null })
      return takeFurther(await row(number))
    }
    const stillMs = stillSince(plan, verdict, nowMs)
    if (stillMs !== null && found.still_since_ms === null) {
      const because = `waits for ${waitsFor(plan, isConnected)}`
      await note('roll_out.still', number, { because })
      deps.log.warn('roll_out_still', { count: number, reason: because })
      const notice = noticeOf('roll_out_still', found, because, nowMs)
      await move(number, ['running'], { still_since_ms: stillMs }, [notice])
    } else if (stillMs === null && found.still_since_ms !== null)
      await move(number, ['running'], { still_since_ms: null })
    const busy = found.kind === 'settings' ? await standing.busy() : new Set()
    const wanted = new Set(toTell(plan, (camera) => isConnected(camera) && !busy.has(camera)))
    for (const turn of list) if (wanted.has(turn.camera) && !isToldLately(turn, nowMs)) await turns.tell(found, turn)
  }

  const standing = createStanding({
    ...{ ...deps, turns, units, isConnected, note },
    said: deps.saidSettings,
  })

  let turning: Promise<void> = Promise.resolve()
  /** One at a time: an acknowledgement may come while a stage is looked at. */
  function upkeep(): Promise<void> {
    const work = async () => {
      for (const found of await openRows()) if (found.state === 'running') await takeFurther(found)
      await standing.upkeep()
      await count()
    }
    turning = turning.then(work, work)
    return turning
  }

  return {
    releases,
    start,
    act,
    upkeep,
    meant: standing.meant,

    async list() {
      const rows = await database.read(
        build.selectFrom('roll_outs').selectAll().orderBy('number', 'desc').limit(MAX_ROLL_OUT_PAGE),
      )
      return Promise.all(rows.map((one) => shown(one)))
    },

    async get(number) {
      const shownTurns = (await turns.of(number)).map(({ camera, stage, state, toldAtMs, changedAtMs, message }) => ({
        ...{ camera, stage, state, toldAtMs, changedAtMs, message },
      }))
      return { rollOut: await shown(await row(number)), turns: shownTurns }
    },

    async revert(number, by) {
      const { wanted, back } = await takingBack(await row(number), isActive(), turns, standing)
      return start(wanted, by, back)
    },

    async mayFetch(sha256, token) {
      const [open] = (await openRows()).filter(({ kind, state }) => kind === 'image' && state !== 'proposed')
      if (open === undefined || open.sha256 !== sha256) return null
      const found = (await turns.of(open.number)).find((turn) => turn.token === token)
      return found !== undefined && found.toldAtMs !== null && !isOver(found) ? found.targetId : null
    },

    async removeRelease(sha256) {
      const open = (await openRows()).find((one) => one.sha256 === sha256)
      if (open !== undefined) throw new AppError('conflict', `roll-out ${open.number} brings it to cameras`)
      await releases.remove(sha256)
    },

    async recordAck(camera, ack) {
      const turn = await turns.byTarget(ack.targetId)
      if (turn === null || turn.camera !== camera) return false
      // Who was given up and answers after all has answered.
      if (isOver(turn) && turn.state !== 'silent') return true
      if (turn.state === ack.state && turn.message === ack.message) return true
      const stands = ack.state === 'confirmed' && (await row(turn.number)).kind === 'settings'
      await turns.record(turn, ack, stands)
      // Others wait for their turn, or the roll-out must stop now and not in a minute.
      if (isOver(ack)) {
        upkeep().catch((thrown: unknown) =>
          deps.log.error('roll_out_not_taken_further', { error: toAppError(thrown).message }),
        )
      }
      return true
    },
  }
}
