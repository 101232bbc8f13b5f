/** How plate reading is scored: what counts as read, found and false, so that figures of two systems compare. */
import type { Region } from '../../../shared/wire/sighting.ts'
import { quantile } from '../statistics.ts'

/** Overlap (intersection over union) from which a plate counts as found. */
export const FOUND_OVERLAP = 0.5

export interface Label {
  region: Region
  plate: string
}

export interface ScoredRead {
  plate: string | null
  region: Region
}

export interface PictureScore {
  /** The best read equals the label. */
  strict: boolean
  /** The same with O read as 0 and I as 1 on both sides: some labels have one for the other. */
  folded: boolean
  /** Some place with a plate, read or not, lies on the label. */
  found: boolean
  /** Reads that lie on no label. */
  falseReads: number
  /** Places told of without a text (a vehicle whose plate cannot be read) that lie on no label. */
  falseVehicles: number
  /** Least number of characters to insert, delete or replace in the best read; all of the label when there is none. */
  edits: number
  characters: number
}

export function overlapOf(a: Region, b: Region): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (width <= 0 || height <= 0) return 0
  return (width * height) / (a.width * a.height + b.width * b.height - width * height)
}

export function fold(plate: string): string {
  return plate.replaceAll('O', '0').replaceAll('I', '1')
}

/** Levenshtein's distance. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a.charAt(i - 1) === b.charAt(j - 1) ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** `reads` best first. A picture has one label or more; the best read may be of any of them. */
export function scorePicture(labels: readonly Label[], reads: readonly ScoredRead[]): PictureScore {
  const texts = reads.filter((read) => read.plate !== null)
  const best = texts[0]?.plate ?? ''
  // The label that the best read comes closest to.
  const nearest = labels.reduce((a, b) => (editDistance(best, b.plate) < editDistance(best, a.plate) ? b : a))
  const elsewhere = reads.filter((read) => labels.every((label) => overlapOf(read.region, label.region) === 0))
  const falseReads = elsewhere.filter((read) => read.plate !== null).length
  return {
    strict: best === nearest.plate,
    folded: fold(best) === fold(nearest.plate),
    found: labels.some((label) => reads.some((read) => overlapOf(read.region, label.region) >= FOUND_OVERLAP)),
    falseReads,
    falseVehicles: elsewhere.length - falseReads,
    edits: editDistance(best, nearest.plate),
    characters: nearest.plate.length,
  }
}

export interface SetScore {
  pictures: number
  strictPercent: number
  foldedPercent: number
  foundPercent: number
  falseReadsPerPicture: number
  falseVehiclesPerPicture: number
  characterErrorPercent: number
  medianMs: number
  p95Ms: number
}

export function scoreSet(pictures: readonly (PictureScore & { elapsedMs: number })[]): SetScore {
  const sum = (of: (picture: PictureScore) => number) => pictures.reduce((total, picture) => total + of(picture), 0)
  const percent = (part: number, whole: number) => Math.round((1000 * part) / whole) / 10
  const times = pictures.map((picture) => picture.elapsedMs)
  return {
    pictures: pictures.length,
    strictPercent: percent(
      sum((picture) => (picture.strict ? 1 : 0)),
      pictures.length,
    ),
    foldedPercent: percent(
      sum((picture) => (picture.folded ? 1 : 0)),
      pictures.length,
    ),
    foundPercent: percent(
      sum((picture) => (picture.found ? 1 : 0)),
      pictures.length,
    ),
    falseReadsPerPicture: Math.round((100 * sum((picture) => picture.falseReads)) / pictures.length) / 100,
    falseVehiclesPerPicture: Math.round((100 * sum((picture) => picture.falseVehicles)) / pictures.length) / 100,
    characterErrorPercent: percent(
      sum((picture) => picture.edits),
      sum((picture) => picture.characters),
    ),
    medianMs: Math.round(quantile(times, 0.5)),
    p95Ms: Math.round(quantile(times, 0.95)),
  }
}

/** Takes `labels.tsv` apart: file, x, y, width, height in px, plate; one row a plate. Throws on a row that is not of that form. */
export function parseLabels(text: string): Map<string, Label[]> {
  const labels = new Map<string, Label[]>()
  for (const [number, row] of text.split(/\r?\n/).entries()) {
    if (number === 0 || row === '') continue
    const [file, x, y, width, height, plate] = row.split('\t')
    const region = { x: Number(x), y: Number(y), width: Number(width), height: Number(height) }
    if (!file || !plate || Object.values(region).some((value) => !Number.isFinite(value))) {
      throw new Error(`labels, line ${number + 1}: not file, x, y, width, height, plate`)
    }
    labels.set(file, [...(labels.get(file) ?? []), { region, plate }])
  }
  return labels
}
