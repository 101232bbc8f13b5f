/** Nebraska: 180 days; lists follow the shifts, and so do entries made by hand. */
import type { Profile } from '../profile.ts'
import { PROHIBITED } from './common.ts'

export const nebraska: Profile = {
  id: 'nebraska',
  title: 'Nebraska: Automatic License Plate Reader Privacy Act',
  citation: 'Neb. Rev. Stat. §§ 60-3201 to 60-3209',
  read: '§§ 60-3202 to 60-3206, in November 2026',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 180, matchedDays: 180, cropDays: 180, quarantineDays: 180 },
    hotlists: {
      staleLists: 'stop',
      manualMaxHours: 12,
      // An example: set the agency's own.
      shifts: { timeZone: 'America/Chicago', ends: ['06:00', '14:00', '22:00'] },
      manualEndsWithShift: true,
    },
    uses: {
      purposes: [
        { code: 'parking-traffic', label: 'an outstanding parking or traffic violation' },
        { code: 'unregistered-uninsured', label: 'an unregistered or uninsured vehicle' },
        { code: 'equipment-registration', label: 'a violation of equipment or registration requirements' },
        { code: 'warrant', label: 'a vehicle registered to a person with an outstanding warrant' },
        { code: 'missing-person', label: 'a vehicle associated with a missing person' },
        { code: 'stolen-vehicle', label: 'a vehicle reported as stolen' },
        {
          code: 'criminal-investigation',
          label: 'a vehicle relevant and material to an ongoing criminal investigation',
        },
      ],
      prohibited: PROHIBITED,
    },
    sharing: { allowed: false },
    publication: { everyDays: 365 },
  },
  sections: {
    'retention.unmatchedDays': { section: 'Neb. Rev. Stat. § 60-3204(1)' },
    'retention.matchedDays': { section: 'Neb. Rev. Stat. § 60-3204(1)' },
    'retention.cropDays': { section: 'Neb. Rev. Stat. § 60-3204(1)' },
    'retention.quarantineDays': { section: 'Neb. Rev. Stat. § 60-3204(1)' },
    'hotlists.staleLists': { section: 'Neb. Rev. Stat. § 60-3204(2)' },
    'hotlists.manualMaxHours': { section: 'Neb. Rev. Stat. § 60-3204(3)(b)' },
    'hotlists.manualEndsWithShift': { section: 'Neb. Rev. Stat. § 60-3204(3)(b)' },
    'uses.purposes': { section: 'Neb. Rev. Stat. § 60-3203(2)(a)' },
    'sharing.allowed': { section: 'Neb. Rev. Stat. §§ 60-3205(2), 60-3206(2)' },
    'publication.everyDays': { section: 'Neb. Rev. Stat. § 60-3206(3)' },
  },
  duties: [
    {
      text: 'Set when your shifts end: candor policy set --shifts 06:00,14:00,22:00 --time-zone America/Chicago (those of the profile are an example).',
      section: 'Neb. Rev. Stat. § 60-3204',
    },
    {
      text: 'Refresh lists at the beginning of each shift, and set their age limit to match: candor hotlist set LIST --max-age 8.',
      section: 'Neb. Rev. Stat. § 60-3204(2)',
    },
    {
      text: 'An investigation that goes on is entered again in the next shift, with its reason.',
      section: 'Neb. Rev. Stat. § 60-3204(3)',
    },
    {
      text: 'A hold rests on a written sworn statement of cameras or plate, and of dates.',
      section: 'Neb. Rev. Stat. § 60-3205(1)',
    },
    {
      text: 'Post this policy on the web, and report matches and false ones of each list and of entries made by hand each year.',
      section: 'Neb. Rev. Stat. § 60-3206',
    },
  ],
}
