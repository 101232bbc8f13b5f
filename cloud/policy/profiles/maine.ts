/** Maine: 21 days. */
import type { Profile } from '../profile.ts'
import { PROHIBITED } from './common.ts'

export const maine: Profile = {
  id: 'maine',
  title: 'Maine: automated licence plate recognition systems',
  citation: '29-A M.R.S. § 2117-A',
  read: 'the definition and summaries of the rest, in November 2026',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 21, matchedDays: 21, cropDays: 21, quarantineDays: 21 },
    uses: {
      purposes: [
        { code: 'public-safety', label: 'public safety' },
        { code: 'criminal-investigation', label: 'a criminal investigation' },
        { code: 'compliance', label: 'compliance with local, state or federal law' },
      ],
      prohibited: PROHIBITED,
    },
    sharing: { allowed: false },
  },
  sections: {
    'retention.unmatchedDays': { section: '29-A M.R.S. § 2117-A(5)', unsure: true },
    'retention.matchedDays': { section: '29-A M.R.S. § 2117-A(5)', unsure: true },
    'retention.cropDays': { section: '29-A M.R.S. § 2117-A(5)', unsure: true },
    'retention.quarantineDays': { section: '29-A M.R.S. § 2117-A(5)', unsure: true },
    'uses.purposes': { section: '29-A M.R.S. § 2117-A(3)', unsure: true },
    'sharing.allowed': { section: '29-A M.R.S. § 2117-A(4)', unsure: true },
  },
  duties: [
    {
      text: 'What an investigation needs for longer than 21 days: place a hold.',
      section: '29-A M.R.S. § 2117-A(5)',
      unsure: true,
    },
    {
      text: 'What was collected is confidential, and for law enforcement agencies alone; aggregates may be published.',
      section: '29-A M.R.S. § 2117-A(4)',
      unsure: true,
    },
  ],
}
