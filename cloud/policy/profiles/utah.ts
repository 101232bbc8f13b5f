/** Utah: nine months; a preservation request holds for 14 days. */
import type { Profile } from '../profile.ts'
import { CRIMINAL, MISSING, PARTNERS_BY_PLATE, PROHIBITED, STOLEN, WARRANT } from './common.ts'

/** The shortest nine months there are, February to October. */
const NINE_MONTHS_DAYS = 273

export const utah: Profile = {
  id: 'utah',
  title: 'Utah: Automatic License Plate Reader System Act',
  citation: 'Utah Code §§ 41-6a-2001 to 41-6a-2006',
  read: '§§ 41-6a-2003, -2004 and -2005, in November 2026',
  rules: {
    upload: 'all',
    retention: {
      unmatchedDays: NINE_MONTHS_DAYS,
      matchedDays: NINE_MONTHS_DAYS,
      cropDays: NINE_MONTHS_DAYS,
      quarantineDays: 30,
    },
    holds: { maxDays: 14 },
    uses: { purposes: [CRIMINAL, WARRANT, MISSING, STOLEN], prohibited: PROHIBITED },
    sharing: { allowed: true, jurisdictions: ['US-UT'] },
    search: { scopes: PARTNERS_BY_PLATE },
  },
  sections: {
    'retention.unmatchedDays': { section: 'Utah Code § 41-6a-2004(1)(c)' },
    'retention.matchedDays': { section: 'Utah Code § 41-6a-2004(1)(c)' },
    'retention.cropDays': { section: 'Utah Code § 41-6a-2004(1)(c)' },
    'holds.maxDays': { section: 'Utah Code § 41-6a-2005(1)' },
    'uses.purposes': { section: 'Utah Code § 41-6a-2003(2)(a)' },
    'sharing.allowed': { section: 'Utah Code § 41-6a-2004(1)(b), (2)' },
  },
  duties: [
    {
      text: 'A hold for a preservation request is for 14 days, and is renewed when a court has been asked for an order.',
      section: 'Utah Code § 41-6a-2005',
    },
    {
      text: 'A criminal investigation is active where an officer has documented reasonable suspicion.',
      section: 'Utah Code § 41-6a-2002',
    },
    {
      text: 'Nothing is sold. Aggregates without any plate may be kept and told.',
      section: 'Utah Code § 41-6a-2004(2)',
    },
  ],
}
