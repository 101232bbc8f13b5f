/** Washington: 21 days, a log of five years, and uses that are out of bounds. */
import type { Profile } from '../profile.ts'
import { HEALTH_CARE, PROHIBITED, WARRANT } from './common.ts'

const LAW = 'Laws of 2026, ch. 239 (SB 6002)'
/** With two leap days. */
const FIVE_YEARS_DAYS = 1_827

export const washington: Profile = {
  id: 'washington',
  title: 'Washington: Driver Privacy Act',
  citation: 'Laws of 2026, ch. 239 (SB 6002), a new chapter of Title 10 RCW',
  read: 'reports on the law as passed, and the definitions of its companion HB 2332, in November 2026; not the session law',
  rules: {
    upload: 'all',
    retention: { unmatchedDays: 21, matchedDays: 21, cropDays: 21, quarantineDays: 21 },
    audit: { days: FIVE_YEARS_DAYS },
    uses: {
      purposes: [
        { code: 'felony', label: 'the investigation of a felony' },
        { code: 'gross-misdemeanor', label: 'the investigation of a gross misdemeanor' },
        { code: 'missing-endangered', label: 'a missing or endangered person' },
        { code: 'stolen-vehicle', label: 'a stolen vehicle' },
        WARRANT,
      ],
      offenceTypes: [
        'felony',
        'gross misdemeanor',
        'missing or endangered person',
        'stolen vehicle',
        'outstanding warrant',
      ],
      prohibited: [...PROHIBITED, HEALTH_CARE],
    },
    sharing: { allowed: false },
    publication: { everyDays: 365 },
  },
  sections: {
    'retention.unmatchedDays': { section: LAW },
    'retention.matchedDays': { section: LAW, unsure: true },
    'retention.cropDays': { section: LAW },
    'retention.quarantineDays': { section: LAW, unsure: true },
    'audit.days': { section: LAW },
    'uses.purposes': { section: LAW },
    'uses.offenceTypes': { section: LAW, unsure: true },
    'uses.prohibited': { section: LAW },
    'sharing.allowed': { section: LAW, unsure: true },
    'publication.everyDays': { section: LAW, unsure: true },
  },
  duties: [
    {
      text: 'Put no camera at schools, places of worship, courthouses, food banks, health care or immigration facilities.',
      section: LAW,
    },
    {
      text: 'Register the system with the Attorney General, and take over the model policy (due by July 2027).',
      section: LAW,
    },
    { text: 'Audit the use within the agency each year, and report it.', section: LAW, unsure: true },
    { text: 'What is evidence in an investigation is kept longer by a hold.', section: LAW, unsure: true },
  ],
}
