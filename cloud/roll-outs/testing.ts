/** Units with keys of their own at the broker, and roll-outs of settings to them: what tests of what stands and of what is taken back share. */
import type { MqttClient } from 'mqtt'
import { MINUTE_MS } from '../../shared/clock.ts'
import { createVerifier } from '../../shared/signing.ts'
import { topics } from '../../shared/topics.ts'
import {
  type ConfigureCommand,
  configureCommandSchema,
  type SettingsInForce,
  settingsText,
  type TargetState,
} from '../../shared/wire/index.ts'
import { callerOf } from '../api/testing.ts'
import { healthOf } from '../fleet/testing.ts'
import { AGENCY, collect, publish, subscribe, type TestCloud, until } from '../testing.ts'
import { ANSWER_MS } from './plan.ts'
import type { NewRollOut } from './types.ts'

export const BRIGHTER = { vision: { minConfidence: 0.6 } }
export const STEEPER = { vision: { minConfidence: 0.5 } }
export const DARKER = { vision: { minConfidence: 0.4 } }
export const WANTED: NewRollOut = {
  ...{
    what: { kind: 'settings', settings: DARKER },
    cameras: [],
    first: [],
    stages: [100],
    reason: 'fewer wrong reads',
  },
}

export interface Unit {
  commands(): ConfigureCommand[]
  /** By which settings it works. */
  say(settings: Partial<SettingsInForce> & { version: number }): Promise<void>
  answer(state: TargetState): Promise<unknown>
  end(): Promise<unknown>
}

/** A unit with a key of its own at the broker. */
export async function openUnit(
  world: TestCloud,
  camera: string,
  certified: { key: string; cert: string },
): Promise<Unit> {
  const client: MqttClient = await world.connectCamera(camera, certified)
  const received = collect(client)
  await subscribe(client, topics.commands(AGENCY, camera))
  const commands = () =>
    received.map(({ payload }) => {
      const verifier = createVerifier(world.cloud.parts.keys.signing.trusted)
      return configureCommandSchema.parse(JSON.parse(verifier.open(JSON.parse(payload.toString())).toString()))
    })
  return {
    commands,
    async say({ version, trial = false, changed = [] }) {
      world.clock.advance(MINUTE_MS)
      const health = { ...healthOf(world.clock.nowMs(), { settings: { version, trial, changed } }), cameraId: camera }
      await publish(client, topics.health(AGENCY, camera), JSON.stringify(health))
      await world.cloud.parts.fleet.settled()
      await world.cloud.parts.rollOuts.upkeep()
    },
    async answer(state) {
      const targetId = commands().at(-1)?.targetId
      if (targetId === undefined) throw new Error(`${camera} was told nothing`)
      const ack = JSON.stringify({ targetId, state, message: null, atMs: world.clock.nowMs() })
      await publish(client, topics.ack(AGENCY, camera, `configure/${targetId}`), ack)
      await world.cloud.parts.rollOuts.upkeep()
    },
    end: () => client.endAsync(),
  }
}

export const told = (unit: Unit, times: number) => until('it is told', () => unit.commands().length === times)
export const countsOf = async (world: TestCloud, number: number) =>
  (await world.cloud.parts.rollOuts.get(number)).rollOut.counts
/** As `candor fleet status` shows it. */
export async function shownOf(world: TestCloud, camera: string): Promise<string> {
  const token = await world.logIn('tess')
  const found = (await callerOf(world.cloud)('GET', '/api/v1/fleet', { token })).json.cameras
  const one = found.find((one: { camera: string }) => one.camera === camera)
  return settingsText(one.settings, one.settingsMeant)
}

export async function rolledOut(
  world: TestCloud,
  units: readonly Unit[],
  change: Partial<NewRollOut> = {},
): Promise<number> {
  const { rollOuts } = world.cloud.parts
  const before = units.map((unit) => unit.commands().length)
  const { number } = await rollOuts.start({ ...WANTED, ...change }, 'tess')
  for (const [i, unit] of units.entries()) {
    await told(unit, (before[i] ?? 0) + 1)
    await unit.answer('confirmed')
    await unit.say({ version: number })
  }
  return number
}

/** To all, each of which answers so, or never (null); it goes on in spite of those that go wrong. */
export async function rolledOutPast(
  world: TestCloud,
  units: readonly Unit[],
  answers: readonly (TargetState | null)[],
  settings = DARKER,
) {
  const { rollOuts } = world.cloud.parts
  const before = units.map((unit) => unit.commands().length)
  const { number } = await rollOuts.start({ ...WANTED, what: { kind: 'settings', settings } }, 'tess')
  for (const [i, unit] of units.entries()) await told(unit, (before[i] ?? 0) + 1)
  const goOn = async () => {
    if ((await rollOuts.get(number)).rollOut.state === 'halted') await rollOuts.act(number, 'resume', 'tess')
  }
  for (const [i, unit] of units.entries()) {
    const answer = answers[i] ?? null
    if (answer !== null) await unit.answer(answer)
    await goOn()
  }
  if (answers.includes(null)) world.clock.advance(ANSWER_MS)
  await rollOuts.upkeep()
  await goOn()
  await until('it is done', async () => (await rollOuts.get(number)).rollOut.state === 'done')
  return number
}

/** Takes it back; `units` are those that had it. */
export async function reverted(world: TestCloud, number: number, units: readonly Unit[]) {
  const back = await world.cloud.parts.rollOuts.revert(number, 'tess')
  for (const unit of units) {
    await until('it is taken back', () => unit.commands().at(-1)?.version === back.number)
    await unit.answer('confirmed')
    await unit.say({ version: back.number })
  }
  await until(
    'it is taken back',
    async () => (await world.cloud.parts.rollOuts.get(back.number)).rollOut.state === 'done',
  )
  return back
}
