/** Virginia: 21 days, three purposes, and sharing within the Commonwealth alone. */
import type { Profile } from '../profile.ts'
import { PARTNERS_BY_PLATE, PROHIBITED } from './common.ts'

const CODE = 'Va. Code § 2.2-5517'

export const virginia: Profile = {
  id: 'virginia',
  title: 'Virginia: automatic license plate recognition systems',
  citation: 'Va. Code § 2.2-5517 (2025)',
  read: 'the General Assembly’s summary of HB 2724 (2025) and an agency’s policy under it, in November 2026',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 21, matchedDays: 21, cropDays: 21, quarantineDays: 21 },
    uses: {
      purposes: [
        {
          code: 'criminal-investigation',
          label: 'a criminal investigation with reasonable suspicion that a crime was committed',
        },
        {
          code: 'missing-endangered',
          label: 'an active investigation of a missing or endangered person or of human trafficking',
        },
        {
          code: 'notification',
          label: 'a notification of a missing person, a warrant, human trafficking, or a stolen vehicle or plate',
        },
      ],
      prohibited: PROHIBITED,
    },
    sharing: { allowed: true, jurisdictions: ['US-VA'], maxGrantDays: 365 },
    search: { scopes: PARTNERS_BY_PLATE },
    publication: { everyDays: 365 },
  },
  sections: {
    'retention.unmatchedDays': { section: CODE },
    'retention.matchedDays': { section: CODE },
    'retention.cropDays': { section: CODE },
    'retention.quarantineDays': { section: CODE, unsure: true },
    'uses.purposes': { section: CODE },
    'sharing.allowed': { section: CODE },
    'sharing.jurisdictions': { section: CODE },
    'publication.everyDays': { section: CODE },
    'audit.days': { section: CODE, unsure: true },
  },
  duties: [
    {
      text: 'Record with each stop whether it came of a notification, and the reason of that: close the alert with its outcome.',
      section: CODE,
    },
    { text: 'Report each year to the State Police, in figures that name nobody.', section: CODE },
    {
      text: 'A grant names a law-enforcement agency of Virginia; courts, prosecutors and defendants are answered by an export under a case.',
      section: CODE,
      unsure: true,
    },
    {
      text: 'What an investigation or a trial needs for longer than 21 days: place a hold.',
      section: CODE,
      unsure: true,
    },
  ],
}
