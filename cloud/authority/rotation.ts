/**
 * From one authority to the next without visiting a camera: the next one is trusted beside the present one, then issues in its place
 * while that is still trusted, then the old one goes. After each step the cloud is started again, and every camera renews its
 * certificate, by which it learns whom to trust. Steps are taken on the host (host.ts); authority.ts reads the files.
 */
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import {
  PUBLIC_MODE,
  readFileIfThere,
  removeIfThere,
  renameDurably,
  writeFileDurably,
} from '../../shared/secret-file.ts'

const NEXT = 'ca-next.pem'
const NEXT_KEY = 'ca-next-key.pem'
const BEFORE = 'ca-before.pem'
const STATE = 'ca-rotation.json'

export const ROTATION_STEPS = ['prepare', 'switch', 'retire'] as const
export type RotationStep = (typeof ROTATION_STEPS)[number]

const stateSchema = z.strictObject({ step: z.enum(ROTATION_STEPS), atMs: z.int() })

export interface Rotation {
  /** Certificates that are trusted beside the present authority's. */
  others: string[]
  /** The last step, and when it was taken; cameras that were given their certificate before have not followed it. null: never. */
  last: z.infer<typeof stateSchema> | null
}

export async function readRotation(folder: string): Promise<Rotation> {
  const others = await Promise.all([NEXT, BEFORE].map((name) => readFileIfThere(join(folder, name))))
  const text = await readFileIfThere(join(folder, STATE))
  return {
    others: others.filter((pem) => pem !== null),
    last: text === null ? null : stateSchema.parse(JSON.parse(text)),
  }
}

/** `present`: names of the present authority's files; `make`: a new authority. Each step may be taken again when it was cut short. Throws `conflict`. */
export async function takeStep(
  step: RotationStep,
  folder: string,
  present: { ca: string; caKey: string },
  make: () => Promise<{ keyPem: string; certPem: string }>,
  nowMs: number,
): Promise<void> {
  const at = (name: string) => join(folder, name)
  const [next = null, nextKey = null, before = null] = await Promise.all(
    [NEXT, NEXT_KEY, BEFORE].map((name) => readFileIfThere(at(name))),
  )
  const note = () => writeFileDurably(at(STATE), `${JSON.stringify({ step, atMs: nowMs })}\n`)
  if (step === 'prepare') {
    if (before !== null) throw conflict('the authority of before is still trusted', 'retire')
    if (next !== null) throw conflict('the next authority is there already', 'switch')
    const made = await make()
    // The key first: a certificate without its key could never issue.
    await writeFileDurably(at(NEXT_KEY), made.keyPem)
    await writeFileDurably(at(NEXT), made.certPem, PUBLIC_MODE)
    await note()
    return
  }
  if (step === 'switch') {
    if (next === null) throw conflict('no next authority has been prepared', 'prepare')
    const ca = await readFileIfThere(at(present.ca))
    if (ca !== null && !isSame(ca, next)) await writeFileDurably(at(BEFORE), ca, PUBLIC_MODE)
    await note()
    // With its key the present authority can issue nothing more.
    if (nextKey !== null) await renameDurably(at(NEXT_KEY), at(present.caKey))
    await renameDurably(at(NEXT), at(present.ca))
    return
  }
  if (before === null) throw conflict('no authority of before is trusted', 'prepare')
  if (next !== null) throw conflict('the switch was cut short', 'switch')
  await removeIfThere(at(BEFORE))
  await note()
}

const conflict = (message: string, step: RotationStep) =>
  new AppError('conflict', message, { hint: `\`candor cloud authority ${step}\` comes first` })

const isSame = (one: string, other: string) =>
  new X509Certificate(one).fingerprint256 === new X509Certificate(other).fingerprint256
