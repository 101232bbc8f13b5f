/**
 * Real reads against a list: with the true plates among so many others, how many are met, exactly and near, and how many reads meet an
 * entry that is not theirs.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { visionConfigSchema } from '../../../edge/vision/types.ts'
import { parseLabels } from '../reading/score.ts'
import { openBenchVision, SETS } from '../reading/sets.ts'
import { inventedPlates } from './invented.ts'
import { fillStore } from './store.ts'

export interface ReadsScore {
  pictures: number
  listed: number
  /** Pictures whose true plate was met, by one of their reads. */
  exactHitPercent: number
  /** The same when near matches count too. */
  nearHitPercent: number
  /** Reads that met an entry which is not in their picture. */
  exactFalse: number
  nearFalse: number
  reads: number
}

/** null where the folder holds no labelled pictures. */
export async function measureReads(
  folder: string,
  others: number,
  onPicture: (done: number, all: number) => void,
): Promise<ReadsScore | null> {
  const pictures: { path: string; plates: string[] }[] = []
  for (const set of SETS) {
    const labels = join(folder, set, 'labels.tsv')
    if (!existsSync(labels)) continue
    for (const [file, own] of parseLabels(await readFile(labels, 'utf8')))
      pictures.push({ path: join(folder, set, file), plates: own.map(({ plate }) => plate) })
  }
  if (pictures.length === 0) return null
  const truths = [...new Set(pictures.flatMap(({ plates }) => plates))]
  // In the same shapes as the true ones: others could hardly be met.
  const listed = [...new Set([...truths, ...inventedPlates(others, 2, truths)])]
  const store = await fillStore(listed)
  const plateOf = new Map(listed.map((plate, index) => [index, plate]))
  const vision = await openBenchVision(visionConfigSchema.parse({}))
  const count = { exactHit: 0, nearHit: 0, exactFalse: 0, nearFalse: 0, reads: 0 }
  try {
    for (const [index, { path, plates }] of pictures.entries()) {
      onPicture(index, pictures.length)
      let [exactHit, nearHit] = [false, false]
      for (const { plate, candidates, jurisdiction } of (await vision.read(await readFile(path))).reads) {
        if (plate === null) continue
        count.reads += 1
        const match = store.hotlists.match({ plate, candidates, jurisdiction }, Date.now())
        if (match === null) continue
        const met = plateOf.get(Number.parseInt(match.entryId.slice(-12), 16)) ?? ''
        const isTrue = plates.includes(met)
        if (match.kind === 'exact') {
          exactHit ||= isTrue
          count.exactFalse += isTrue ? 0 : 1
        } else {
          nearHit ||= isTrue
          count.nearFalse += isTrue ? 0 : 1
        }
      }
      count.exactHit += exactHit ? 1 : 0
      count.nearHit += exactHit || nearHit ? 1 : 0
    }
  } finally {
    await vision.close()
    await store.close()
  }
  return {
    pictures: pictures.length,
    listed: listed.length,
    exactHitPercent: (100 * count.exactHit) / pictures.length,
    nearHitPercent: (100 * count.nearHit) / pictures.length,
    exactFalse: count.exactFalse,
    nearFalse: count.exactFalse + count.nearFalse,
    reads: count.reads,
  }
}
