/**
 * Below which version this unit does not go: a release may name a floor, because an older one has a hole that it has closed. The highest that any release
 * has had that was confirmed here stays, in a file of the data partition: going back one release does not lower it, nor does a later release that names
 * none. Raised by confirm.ts at each start of a confirmed slot; asked by update.ts before anything is installed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { checkConfig } from '../../shared/config.ts'
import { describeError } from '../../shared/errors.ts'
import { readFileIfThere } from '../../shared/secret-file.ts'
import { releaseVersionSchema } from '../../shared/wire/index.ts'
import { RELEASE_FILE, UNIT_FOLDER } from './places.ts'
import { isOlder } from './update-request.ts'
import { written } from './update-state.ts'

const FLOOR_FILE = join(UNIT_FOLDER, 'version-floor')

const releaseSchema = z.object({
  version: releaseVersionSchema,
  /** Nothing older is installed over this release. */
  floor: releaseVersionSchema,
  compatible: z.string(),
})
export type Release = z.infer<typeof releaseSchema>

/** The release that runs. Throws where it does not say what it is: then nothing is installed over it. */
export const readRelease = (file: string = RELEASE_FILE): Release =>
  checkConfig(JSON.parse(readFileSync(file, 'utf8')), releaseSchema, file)

/** null: none is kept, or what is kept is none. That is told, and refuses and lets through nothing: the running release's own counts. */
function keptFloor(text: string | null, file: string, tell: (line: string) => void): string | null {
  const kept = text === null ? null : releaseVersionSchema.safeParse(text.trim())
  if (kept?.success === false) tell(`${file} holds no version: it is written anew by the running release\n`)
  return kept?.data ?? null
}

/** The floor of the unit, kept in `file` from now on: the higher one of what is kept and of `release`, which runs. */
export async function versionFloor(
  { floor }: Pick<Release, 'floor'>,
  file: string = FLOOR_FILE,
  tell: (line: string) => void = (line) => process.stderr.write(line),
): Promise<string> {
  let text: string | null
  try {
    text = await readFileIfThere(file)
  } catch (thrown) {
    // A card that does not answer once may hold a higher one: it is not written over.
    tell(`${describeError(thrown)}\n`)
    return floor
  }
  const kept = keptFloor(text, file, tell)
  if (kept !== null && !isOlder(kept, floor)) return kept
  await written(file, `${floor}\n`)
  return floor
}
