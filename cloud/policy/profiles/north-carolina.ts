/** North Carolina: 90 days, longer only on a sworn request. */
import type { Profile } from '../profile.ts'
import { PARTNERS_BY_PLATE, PROHIBITED, TRAFFIC, YEAR_DAYS } from './common.ts'

export const northCarolina: Profile = {
  id: 'north-carolina',
  title: 'North Carolina: automatic license plate reader systems',
  citation: 'N.C. Gen. Stat. §§ 20-183.30 to 20-183.32',
  read: '§§ 20-183.30, .31 and .32(a) to (c), in November 2026',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 90, matchedDays: 90, cropDays: 90, quarantineDays: 90 },
    holds: { maxDays: YEAR_DAYS },
    uses: {
      purposes: [
        { code: 'criminal-investigation', label: 'an ongoing criminal investigation' },
        { code: 'missing-person', label: 'a missing person' },
        { code: 'motor-carrier', label: 'a violation of a motor carrier safety regulation' },
        { code: 'law-enforcement', label: 'another law enforcement purpose' },
      ],
      prohibited: [...PROHIBITED, TRAFFIC],
    },
    sharing: { allowed: true, jurisdictions: ['US-NC'] },
    search: { scopes: PARTNERS_BY_PLATE },
    publication: { everyDays: 365 },
  },
  sections: {
    'retention.unmatchedDays': { section: 'N.C. Gen. Stat. § 20-183.32(a)' },
    'retention.matchedDays': { section: 'N.C. Gen. Stat. § 20-183.32(a)' },
    'retention.cropDays': { section: 'N.C. Gen. Stat. § 20-183.32(a)' },
    'retention.quarantineDays': { section: 'N.C. Gen. Stat. § 20-183.32(a)' },
    'holds.maxDays': { section: 'N.C. Gen. Stat. § 20-183.32(d)', unsure: true },
    'uses.purposes': { section: 'N.C. Gen. Stat. §§ 20-183.31(b), 20-183.32(c)(3)' },
    'uses.prohibited': { section: 'N.C. Gen. Stat. § 20-183.31(b) (traffic)' },
    'sharing.allowed': { section: 'N.C. Gen. Stat. § 20-183.32', unsure: true },
    'publication.everyDays': { section: 'N.C. Gen. Stat. §§ 20-183.31(a)(7), 20-183.32A' },
  },
  duties: [
    {
      text: 'A hold rests on a written, sworn statement: cameras, plate, dates, facts, case; or on a search warrant. Name it as its legal basis.',
      section: 'N.C. Gen. Stat. § 20-183.32(b), (c)',
    },
    {
      text: 'Have a written policy before the system is in use; audit and report to the head of the agency at least once a year.',
      section: 'N.C. Gen. Stat. § 20-183.31(a)',
    },
    { text: 'Keep records of maintenance and calibration.', section: 'N.C. Gen. Stat. § 20-183.31(c)' },
  ],
}
