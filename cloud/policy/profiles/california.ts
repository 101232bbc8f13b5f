/** California SB 34: the published policy says how long; who searched what, for whom and why is recorded. */
import type { Profile } from '../profile.ts'
import { CRIMINAL, HEALTH_CARE, MISSING, PARTNERS_BY_PLATE, PROHIBITED, STOLEN, WARRANT } from './common.ts'

const RETENTION = { section: 'Cal. Civ. Code § 1798.90.51(b)(2)(G)' }

export const california: Profile = {
  id: 'california',
  title: 'California: SB 34, automated license plate recognition',
  citation: 'Cal. Civ. Code §§ 1798.90.5 to 1798.90.55 (SB 34, 2015)',
  read: '§§ 1798.90.5, .51, .52, .53 and .55, and from Information Bulletin 2023-DLE-06, in November 2026',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 30, matchedDays: 30, cropDays: 30, quarantineDays: 30 },
    uses: { purposes: [CRIMINAL, MISSING, STOLEN, WARRANT], prohibited: [...PROHIBITED, HEALTH_CARE] },
    sharing: { allowed: true, jurisdictions: ['US-CA'] },
    search: { scopes: PARTNERS_BY_PLATE },
  },
  sections: {
    'retention.unmatchedDays': RETENTION,
    'retention.matchedDays': RETENTION,
    'retention.cropDays': RETENTION,
    'uses.purposes': { section: 'Cal. Civ. Code §§ 1798.90.51(b)(2)(A), 1798.90.52(b)' },
    'uses.prohibited': { section: 'Cal. Gov. Code § 7284.6 (immigration enforcement)' },
    'sharing.allowed': { section: 'Cal. Civ. Code § 1798.90.55(b)' },
    'sharing.jurisdictions': {
      section: 'Cal. Civ. Code §§ 1798.90.5(f), 1798.90.55(b); Information Bulletin 2023-DLE-06',
    },
  },
  duties: [
    {
      text: 'The law names no number of days: 30 is ours. Set those of your own published policy.',
      section: RETENTION.section,
    },
    {
      text: 'Post the usage and privacy policy: purposes, who may use it and how they are trained, audits, sharing, custodian, accuracy, retention.',
      section: 'Cal. Civ. Code § 1798.90.51(b)',
    },
    {
      text: 'Hear the public at a meeting before the system is taken into use.',
      section: 'Cal. Civ. Code § 1798.90.55(a)',
    },
    {
      text: 'Each access is recorded with time, elements of the query, user, organisation and purpose: Candor’s audit does.',
      section: 'Cal. Civ. Code § 1798.90.52(a)',
    },
  ],
}
