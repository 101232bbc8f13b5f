/** Minnesota: 60 days, a public log of use, a written purpose for each access. */
import type { Profile } from '../profile.ts'
import { PARTNERS_BY_PLATE, PROHIBITED } from './common.ts'

export const minnesota: Profile = {
  id: 'minnesota',
  title: 'Minnesota: automated license plate readers',
  citation: 'Minn. Stat. § 13.824',
  read: 'subdivisions 1 and 2, and the state’s summary of 5 and 7, in November 2026',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 60, matchedDays: 60, cropDays: 60, quarantineDays: 60 },
    uses: {
      purposes: [
        { code: 'criminal-investigation', label: 'an active criminal investigation' },
        { code: 'law-enforcement', label: 'another legitimate, specified and documented law enforcement purpose' },
      ],
      prohibited: PROHIBITED,
    },
    sharing: { allowed: true, jurisdictions: ['US-MN'] },
    search: { scopes: PARTNERS_BY_PLATE },
    publication: { everyDays: 30 },
  },
  sections: {
    'retention.unmatchedDays': { section: 'Minn. Stat. § 13.824, subd. 3', unsure: true },
    'retention.matchedDays': { section: 'Minn. Stat. § 13.824, subd. 3', unsure: true },
    'retention.cropDays': { section: 'Minn. Stat. § 13.824, subd. 3', unsure: true },
    'retention.quarantineDays': { section: 'Minn. Stat. § 13.824, subd. 3', unsure: true },
    'uses.purposes': { section: 'Minn. Stat. § 13.824, subd. 7(b)' },
    'sharing.allowed': { section: 'Minn. Stat. § 13.824, subd. 4', unsure: true },
    'publication.everyDays': { section: 'Minn. Stat. § 13.824, subd. 5' },
  },
  duties: [
    {
      text: 'Match only against the state’s licence plate data file, or other lists of an active criminal investigation.',
      section: 'Minn. Stat. § 13.824, subd. 2(c)',
    },
    {
      text: 'Follow nobody over time without a warrant or exigent circumstances.',
      section: 'Minn. Stat. § 13.824, subd. 2(d)',
    },
    {
      text: 'Keep the public log: databases compared with, vehicles counted, matches by kind, places of fixed readers.',
      section: 'Minn. Stat. § 13.824, subd. 5',
    },
    { text: 'Have an independent audit made every two years.', section: 'Minn. Stat. § 13.824, subd. 6', unsure: true },
  ],
}
