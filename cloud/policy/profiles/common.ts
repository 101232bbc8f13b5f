/** What several profiles say alike. Candor's own choice where a profile cites nothing for it. */
import type { Policy } from '../../../shared/wire/policy.ts'

type Prohibited = Policy['uses']['prohibited'][number]

export const MINUTES_A_DAY = 1_440
export const YEAR_DAYS = 365

/** Words that hardly stand in a lawful reason: "ice" alone would refuse every road in winter, "intimidation" every threatened witness. */
export const IMMIGRATION: Prohibited = {
  code: 'immigration',
  label: 'immigration enforcement',
  words: [
    'immigration',
    'deportation',
    'removal order',
    'ICE detainer',
    'ICE ERO',
    'for ICE',
    'border patrol',
    'CBP',
    'administrative warrant',
    '287(g)',
    'visa overstay',
  ],
}
export const PERSONAL: Prohibited = {
  code: 'personal-use',
  label: 'personal use',
  words: [
    'personal use',
    'personal reasons',
    'curiosity',
    'my wife',
    'my husband',
    'my girlfriend',
    'my boyfriend',
    'my ex',
  ],
}
export const HARASSMENT: Prohibited = {
  code: 'harassment',
  label: 'harassment or intimidation of a person or group',
  words: [],
}
export const PROTECTED_CLASS: Prohibited = {
  code: 'protected-class',
  label: 'use because of a person’s race, religion, sex, orientation or other protected class alone',
  words: [],
}
export const PROTECTED_ACTIVITY: Prohibited = {
  code: 'protected-activity',
  label: 'watching protests, worship or other activity that the constitution protects',
  words: ['protester', 'protesters', 'protestor', 'protestors', 'demonstrators', 'worshippers'],
}
export const HEALTH_CARE: Prohibited = {
  code: 'protected-health-care',
  label: 'lawful reproductive or gender-affirming health care',
  words: ['abortion', 'reproductive health', 'gender-affirming'],
}
export const TRAFFIC: Prohibited = {
  code: 'traffic',
  label: 'enforcement of traffic rules',
  words: ['traffic violation', 'traffic enforcement', 'speeding ticket', 'red light violation'],
}

export const PROHIBITED: Prohibited[] = [IMMIGRATION, PERSONAL, HARASSMENT, PROTECTED_CLASS, PROTECTED_ACTIVITY]

export const CRIMINAL = { code: 'criminal-investigation', label: 'an active criminal investigation' }
export const MISSING = { code: 'missing-person', label: 'a missing or endangered person' }
export const STOLEN = { code: 'stolen-vehicle', label: 'a stolen vehicle or plate' }
export const WARRANT = { code: 'warrant', label: 'a person with an outstanding warrant' }

type Scopes = Policy['search']['scopes']
/** Partners by whole plate alone, nothing taken out. */
export const PARTNERS_BY_PLATE: Scopes = [
  { role: 'partner', maxAgeDays: null, purposes: [], patterns: false, exports: false },
]
