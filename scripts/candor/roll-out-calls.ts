/** What `candor roll-out` asks the cloud, and how it tells the answer. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { type Client, readText } from './client.ts'
import { releaseNamed } from './release-calls.ts'
import { printable } from './terminal.ts'

const PATH = '/api/v1/roll-outs'

const rollOutSchema = z.looseObject({
  number: z.int(),
  kind: z.string(),
  settings: z.unknown(),
  settingsSha256: z.string().nullable(),
  stages: z.array(z.number()),
  soakMs: z.int(),
  state: z.string(),
  stage: z.int(),
  because: z.string().nullable(),
  stillSinceMs: z.int().nullable().default(null),
  reason: z.string(),
  madeAtMs: z.int(),
  madeBy: z.string(),
  counts: z.record(z.string(), z.int()),
})
export type RollOut = z.infer<typeof rollOutSchema>

const shownSchema = z.object({
  rollOut: rollOutSchema,
  turns: z.array(
    z.object({
      camera: z.string(),
      stage: z.int(),
      state: z.string(),
      message: z.string().nullable(),
      toldAtMs: z.int().nullable(),
      changedAtMs: z.int(),
    }),
  ),
})

/** `release` or `settings`, one of them. */
export interface StartOptions {
  release?: string
  compatible?: string
  settings?: string
  camera: string[]
  first: string[]
  stages?: number[]
  soakMinutes?: number
  reason: string
}

export async function startRollOut(client: Client, options: StartOptions): Promise<RollOut> {
  const { release, settings, stages, soakMinutes, reason } = options
  const what =
    release === undefined
      ? { kind: 'settings', settings: settingsOf(settings ?? '') }
      : { kind: 'image', sha256: (await releaseNamed(client, release, options.compatible)).sha256 }
  const json = {
    ...{ what, cameras: options.camera, first: options.first, reason },
    ...(stages === undefined ? {} : { stages }),
    ...(soakMinutes === undefined ? {} : { soakMinutes }),
  }
  return client.call(rollOutSchema, 'POST', PATH, { json })
}

function settingsOf(file: string): unknown {
  try {
    return JSON.parse(readText(file))
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError('bad_input', `${file} is not JSON: ${cause instanceof Error ? cause.message : ''}`, { cause })
  }
}

export async function fetchRollOuts(client: Client): Promise<RollOut[]> {
  return (await client.call(z.object({ rollOuts: z.array(rollOutSchema) }), 'GET', PATH)).rollOuts
}

export const fetchRollOut = (client: Client, number: number) => client.call(shownSchema, 'GET', `${PATH}/${number}`)

export const actOn = (client: Client, number: number, verb: string): Promise<RollOut> =>
  client.call(rollOutSchema, 'POST', `${PATH}/${number}/${verb}`)

export function countsText(counts: RollOut['counts']): string {
  return Object.entries(counts)
    .map(([state, cameras]) => `${cameras} ${state.replace('_', ' ')}`)
    .join(', ')
}

/** The whole of them, as whoever approves must see them, and the digest that the audit has; nothing for an image. */
export function settingsText({ settings, settingsSha256 }: RollOut): string {
  if (settingsSha256 === null) return ''
  const lines = JSON.stringify(settings, null, 2).split('\n').map(printable)
  return `Settings, SHA-256 ${settingsSha256}:\n${lines.join('\n')}\n`
}

const NEXT: Readonly<Record<string, (number: number) => string>> = {
  proposed: (number) => `It waits for a second person: candor roll-out approve ${number}\n`,
  running: (number) => `See how it goes: candor roll-out show ${number}\n`,
  paused: (number) => `Go on: candor roll-out resume ${number}\n`,
  halted: (number) => `Look at those cameras, then go on or end it: candor roll-out resume|end ${number}\n`,
}

const STILL = (number: number) => `Nothing has moved: see who is awaited, then candor roll-out advance|end ${number}\n`

export function rollOutText(one: RollOut): string {
  const stage = `stage ${one.stage + 1} of ${one.stages.length} (${one.stages[one.stage]} %)`
  const next = one.stillSinceMs === null ? NEXT[one.state] : STILL
  const because = one.because === null ? '' : `Halted: ${one.because}\n`
  return `Roll-out ${one.number} of ${one.kind}: ${one.state}, ${stage}; ${countsText(one.counts)}.\n${because}${next?.(one.number) ?? ''}`
}
