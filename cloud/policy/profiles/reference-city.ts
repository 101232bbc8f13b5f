/** A city's published policy, as it was in 2024 and as its successor system has it. */
import type { Profile } from '../profile.ts'
import { HARASSMENT, IMMIGRATION, PARTNERS_BY_PLATE, PERSONAL, PROTECTED_CLASS, TRAFFIC } from './common.ts'

const PAGE = { section: 'transparency page, September 2024' }
const PILOT = { section: 'successor pilot, 2026', unsure: true } as const

export const referenceCity: Profile = {
  id: 'reference-city',
  title: 'Reference city: published policy of 2024',
  citation: 'Transparency page of a city with 95 cameras, September 2024',
  read: 'the page’s texts and figures',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 30, matchedDays: 30, cropDays: 30, quarantineDays: 30 },
    uses: {
      purposes: [{ code: 'criminal-investigation', label: 'a criminal investigation, or a nexus to one' }],
      prohibited: [IMMIGRATION, TRAFFIC, HARASSMENT, PROTECTED_CLASS, PERSONAL],
    },
    sharing: { allowed: true },
    search: { scopes: PARTNERS_BY_PLATE },
    publication: { everyDays: 30 },
  },
  sections: {
    'retention.unmatchedDays': PAGE,
    'retention.matchedDays': PAGE,
    'retention.cropDays': PAGE,
    'audit.days': PAGE,
    'uses.purposes': PAGE,
    'uses.prohibited': PAGE,
    'sharing.allowed': PAGE,
    'publication.everyDays': PAGE,
  },
  duties: [
    {
      text: 'A person verifies every hit, and checks it with the source list, before anybody acts: Candor’s alerts require it.',
      ...PAGE,
    },
    { text: 'Each search has a case number and a reason: Candor’s search requires them.', ...PAGE },
  ],
}

export const referenceCity2026: Profile = {
  ...referenceCity,
  id: 'reference-city-2026',
  title: 'Reference city: its successor system of 2026',
  citation: 'Successor pilot of the same city, 2026: 21 days, shared with nobody',
  read: 'reports on the pilot',
  rules: {
    ...referenceCity.rules,
    retention: { unmatchedDays: 21, matchedDays: 21, cropDays: 21, quarantineDays: 21 },
    sharing: { allowed: false },
    search: { scopes: [] },
  },
  sections: {
    ...referenceCity.sections,
    'retention.unmatchedDays': PILOT,
    'retention.matchedDays': PILOT,
    'retention.cropDays': PILOT,
    'sharing.allowed': PILOT,
  },
}
