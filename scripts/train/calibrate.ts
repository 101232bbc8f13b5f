/**
 * Fits the curve of edge/vision/calibration.ts on rendered plates and writes models/calibration.json. Run by hand after the networks were
 * exported, with plates drawn under another seed than those that `candor bench reading` measures with:
 *
 *     python3 scripts/train/render.py DIR --reads 6000 --seed calibration --photographs …
 *     node --import tsx scripts/train/calibrate.ts DIR
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { features } from '../../edge/vision/calibration.ts'
import { settleLookalikes } from '../../edge/vision/layouts.ts'
import { overlapOf, parseLabels } from '../bench/reading/score.ts'

process.env.OPENCV4NODEJS_DISABLE_AUTOBUILD = '1'
process.env.OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING = '1'

/** A read lies on a label from this overlap on (intersection over union). */
const ON_LABEL = 0.3
const STEPS = 50
/** Keeps a weight that the reads say nothing about at 0. */
const RIDGE = 1e-3

type Row = ReturnType<typeof features>

/** Weights of the logistic curve, by Newton's method. */
function fit(rows: readonly Row[], right: readonly boolean[]): number[] {
  const size = 3
  let weights = [0, 1, 0]
  for (let step = 0; step < STEPS; step++) {
    const gradient = new Array<number>(size).fill(0)
    const hessian = Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => (i === j ? RIDGE : 0)),
    )
    for (const [index, row] of rows.entries()) {
      const p = 1 / (1 + Math.exp(-row.reduce<number>((sum, value, i) => sum + value * (weights[i] ?? 0), 0)))
      const error = (right[index] === true ? 1 : 0) - p
      for (let i = 0; i < size; i++) {
        gradient[i] = (gradient[i] ?? 0) + error * (row[i] ?? 0)
        for (let j = 0; j < size; j++) {
          const line = hessian[i] as number[]
          line[j] = (line[j] ?? 0) + p * (1 - p) * (row[i] ?? 0) * (row[j] ?? 0)
        }
      }
    }
    const change = solve(hessian, gradient)
    weights = weights.map((weight, i) => weight + (change[i] ?? 0))
  }
  return weights
}

/** Gauss with pivots; small and well conditioned here. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i] ?? 0])
  const size = rows.length
  for (let column = 0; column < size; column++) {
    const pivot = rows.slice(column).reduce((best, row, i, all) => {
      return Math.abs(row[column] ?? 0) > Math.abs(all[best]?.[column] ?? 0) ? i : best
    }, 0)
    const swap = rows[column + pivot] as number[]
    rows[column + pivot] = rows[column] as number[]
    rows[column] = swap
    for (const [i, row] of rows.entries()) {
      if (i === column) continue
      const factor = (row[column] ?? 0) / (swap[column] ?? 1)
      for (let j = column; j <= size; j++) row[j] = (row[j] ?? 0) - factor * (swap[j] ?? 0)
    }
  }
  return rows.map((row, i) => (row[size] ?? 0) / (row[i] ?? 1))
}

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('name the folder that render.py has drawn into')
const { modelPaths } = await import('../../edge/vision/models.ts')
const { decodePicture } = await import('../../edge/vision/picture.ts')
const { rgbMat } = await import('../../edge/vision/opencv.ts')
const { openCandorDetector } = await import('../../edge/vision/detect-candor.ts')
const { SMALLEST_PLATE_PX } = await import('../../edge/vision/types.ts')
const { openCandorReader } = await import('../../edge/vision/read-candor.ts')
const models = modelPaths()
const detector = await openCandorDetector(models.detector, 1, SMALLEST_PLATE_PX.standard)
const reader = await openCandorReader(models.reader, models.calibration, 1)

const rows: Row[] = []
const right: boolean[] = []
const labels = [...parseLabels(await readFile(join(folder, 'reads', 'labels.tsv'), 'utf8'))]
for (const [index, [file, plates]] of labels.entries()) {
  if (index % 500 === 0) process.stderr.write(`${index}/${labels.length}\n`)
  const { pixels, widthPx, heightPx } = await decodePicture(await readFile(join(folder, 'reads', file)))
  const picture = rgbMat(pixels, widthPx, heightPx)
  const regions = await detector.detect(picture)
  const looks = await reader.read(picture, regions)
  picture.release()
  for (const [place, region] of regions.entries()) {
    const first = looks[place]?.texts[0]
    if (first === undefined || first.text.length < 2) continue
    const label = plates.find((candidate) => overlapOf(candidate.region, region.region) >= ON_LABEL)
    rows.push(features({ probability: first.probability, score: region.confidence }))
    // As the camera reports it.
    right.push(label?.plate === (settleLookalikes(first.text)?.text ?? first.text))
  }
}
const [constant = 0, ofReader = 1, ofDetector = 0] = fit(rows, right)
const rounded = (weight: number) => Math.round(weight * 10_000) / 10_000
const calibration = {
  fittedOn: 'plates drawn by scripts/train/render.py --seed calibration',
  reads: rows.length,
  detector: detector.version,
  reader: reader.version,
  weights: {
    constant: rounded(constant),
    reader: rounded(Math.max(0, ofReader)),
    detector: rounded(Math.max(0, ofDetector)),
  },
}
await writeFile(models.calibration, `${JSON.stringify(calibration, null, 2)}\n`)
process.stdout.write(
  `${JSON.stringify(calibration)} ${right.filter(Boolean).length} of ${rows.length} reads are right\n`,
)
await detector.close()
await reader.close()
