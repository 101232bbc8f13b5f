/** Plates and entries that nobody has: the same ones each time. */
import type { RecordFields } from '../../../shared/wire/index.ts'
import { seeded } from '../statistics.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const DIGITS = '0123456789'

/** `count` different plates, each with letters and digits where one of `shapes` has them; there must be as many. */
export function inventedPlates(count: number, seed: number, shapes: readonly string[] = ['AAA0000']): string[] {
  const random = seeded(seed)
  const pick = (from: string) => from.charAt(Math.floor(random() * from.length))
  const plates = new Set<string>()
  while (plates.size < count) {
    const shape = shapes[Math.floor(random() * shapes.length)] ?? ''
    plates.add([...shape].map((character) => pick(/\d/.test(character) ? DIGITS : LETTERS)).join(''))
  }
  return [...plates]
}

/** An entry as the cloud's tables have it. */
export function inventedEntry(
  plate: string,
  index: number,
): Omit<RecordFields, 'digest'> & { plate: string; category: string } {
  return {
    plate,
    entryId: `01900000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`,
    category: 'stolen',
    jurisdiction: index % 2 === 0 ? 'US-CA' : null,
    priority: (index % 5) + 1,
    rule: 'near',
    effectiveAtMs: null,
    expiresAtMs: null,
  }
}
