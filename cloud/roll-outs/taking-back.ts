/** What takes settings back: to which cameras it goes, and what they get. Part of roll-outs.ts. */
import { AppError } from '../../shared/errors.ts'
import { cameraSettingsSchema } from '../../shared/wire/index.ts'
import type { RollOutsTable } from '../database/schema-roll-outs.ts'
import { isOver } from './plan.ts'
import { REOPENED, type Standing } from './standing.ts'
import type { StoredTurn, Turns } from './turns.ts'
import type { NewRollOut } from './types.ts'

/** Of one that takes another back. */
export type Back = Pick<RollOutsTable, 'whole_from' | 'takes_back'>

/** It is to get it once more, as a unit in the place of one that had it, and has not said no; confirmed or not. */
const isStillToHave = ({ state, standing }: StoredTurn): boolean =>
  standing && (REOPENED.has(state) || !isOver({ state }))

/** Throws `conflict` where it is of an image, no camera has it, or the cameras had different settings before. */
export async function takingBack(
  { number, ...found }: RollOutsTable,
  active: ReadonlySet<string>,
  turns: Pick<Turns, 'of' | 'settingsBefore'>,
  standing: Pick<Standing, 'ofAllBefore'>,
): Promise<{ wanted: NewRollOut; back: Back }> {
  if (found.kind !== 'settings') {
    throw new AppError('conflict', `roll-out ${number} is of an image`, {
      hint: 'roll out the release of before: `candor roll-out start --release VERSION`',
    })
  }
  // What a person ended never was what all have: nor is what it is taken back to.
  const isOfAll = found.whole_from !== null && found.state === 'done'
  const ofAll = isOfAll ? await standing.ofAllBefore(number) : null
  // A camera that came after those of before would have had what all had.
  const beforeOf = async (camera: string) => (await turns.settingsBefore(camera, number)) ?? ofAll?.settings ?? '{}'
  const all = (await turns.of(number)).filter(({ camera }) => active.has(camera))
  const having = all.filter(({ state }) => state === 'confirmed')
  const others = all.filter(isStillToHave)
  const befores = new Map<string, string>()
  for (const { camera } of [...having, ...others]) befores.set(camera, await beforeOf(camera))
  const decisive = having.length > 0 ? having : others
  const before = new Set(decisive.map(({ camera }) => befores.get(camera)))
  const [text] = before
  if (text === undefined) throw new AppError('conflict', `no camera has the settings of roll-out ${number}`)
  if (before.size > 1) {
    throw new AppError('conflict', 'the cameras had different settings before', {
      hint: 'roll out to each group of them: `candor roll-out start --settings FILE --cameras …`',
    })
  }
  const settings = cameraSettingsSchema.parse(JSON.parse(text))
  // Others that had something else before work by that as they do, and are not told what is taken back (standing.ts).
  const cameras = [...befores].flatMap(([camera, its]) => (its === text ? [camera] : []))
  const reason = `back from roll-out ${number}`
  return {
    wanted: { what: { kind: 'settings', settings }, cameras, first: [], stages: [100], reason },
    back: { whole_from: isOfAll ? (ofAll?.fromNumber ?? 1) : null, takes_back: number },
  }
}
