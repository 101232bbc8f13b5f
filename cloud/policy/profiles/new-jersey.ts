/** New Jersey: three years, a coordinator and an audit each year. */
import type { Profile } from '../profile.ts'
import { CRIMINAL, MISSING, PARTNERS_BY_PLATE, PROHIBITED, STOLEN, WARRANT } from './common.ts'

const DIRECTIVE = 'AG Directive 2022-12'
/** With a leap day. */
const THREE_YEARS_DAYS = 1_096

export const newJersey: Profile = {
  id: 'new-jersey',
  title: 'New Jersey: automated licence plate recognition',
  citation: 'N.J. Attorney General Law Enforcement Directive 2022-12',
  read: 'the State Police’s account of it, in November 2026; not the directive itself',
  rules: {
    upload: 'all',
    retention: {
      unmatchedDays: THREE_YEARS_DAYS,
      matchedDays: THREE_YEARS_DAYS,
      cropDays: THREE_YEARS_DAYS,
      quarantineDays: 30,
    },
    uses: { purposes: [CRIMINAL, MISSING, STOLEN, WARRANT], prohibited: PROHIBITED },
    sharing: { allowed: true, jurisdictions: ['US-NJ'] },
    search: { scopes: PARTNERS_BY_PLATE },
    publication: { everyDays: 365 },
  },
  sections: {
    'retention.unmatchedDays': { section: DIRECTIVE, unsure: true },
    'retention.matchedDays': { section: DIRECTIVE, unsure: true },
    'retention.cropDays': { section: DIRECTIVE, unsure: true },
    'uses.purposes': { section: DIRECTIVE, unsure: true },
    'sharing.allowed': { section: DIRECTIVE, unsure: true },
    'publication.everyDays': { section: DIRECTIVE },
  },
  duties: [
    {
      text: 'Designate an agency coordinator, who audits the programme each year and certifies: policy, authorised users, training, a sample of accesses, violations and complaints.',
      section: DIRECTIVE,
    },
    {
      text: 'Three years are the most that the directive allows (unsure): a shorter time is the better one where cases do not need it.',
      section: DIRECTIVE,
      unsure: true,
    },
  ],
}
