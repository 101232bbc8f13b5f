/** All profiles, in the order in which they are listed. */
import type { Profile } from '../profile.ts'
import { california } from './california.ts'
import { maine } from './maine.ts'
import { minnesota } from './minnesota.ts'
import { nebraska } from './nebraska.ts'
import { newHampshire } from './new-hampshire.ts'
import { newJersey } from './new-jersey.ts'
import { northCarolina } from './north-carolina.ts'
import { referenceCity, referenceCity2026 } from './reference-city.ts'
import { utah } from './utah.ts'
import { virginia } from './virginia.ts'
import { washington } from './washington.ts'

export const PROFILES: readonly Profile[] = [
  newHampshire,
  maine,
  virginia,
  washington,
  minnesota,
  northCarolina,
  nebraska,
  utah,
  california,
  newJersey,
  referenceCity,
  referenceCity2026,
]
