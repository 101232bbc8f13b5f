/** Plates and entries that nobody has: the same ones each time. */
import type { RecordFields } from '../../../shared/wire/index.ts'
import { seeded } from '../statistics.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** `count` different plates of three letters and four digits, or four letters and three when those run out. */
export function inventedPlates(count: number, seed: number): string[] {
  const random = seeded(seed)
  const letter = () => LETTERS.charAt(Math.floor(random() * LETTERS.length))
  const digit = () => String(Math.floor(random() * 10))
  const plates = new Set<string>()
  while (plates.size < count) {
    plates.add(letter() + letter() + letter() + digit() + digit() + digit() + digit())
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
