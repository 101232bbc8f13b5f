/** New Hampshire: three minutes, in memory; only what an alarm came of may be kept. */
import type { Profile } from '../profile.ts'
import { MINUTES_A_DAY, PROHIBITED } from './common.ts'

const THREE_MINUTES = 3 / MINUTES_A_DAY

export const newHampshire: Profile = {
  id: 'new-hampshire',
  title: 'New Hampshire: number plate scanning devices',
  citation: 'N.H. Rev. Stat. Ann. (RSA) 261:75-b',
  read: 'I to VI of the section, and Saf-C 7204.01, in November 2026; VIII not in its own words',
  rules: {
    upload: 'matches-only',
    unmatchedInMemory: true,
    retention: { unmatchedDays: THREE_MINUTES, matchedDays: 7, cropDays: 7, quarantineDays: THREE_MINUTES },
    hotlists: { staleLists: 'stop', checkPastHours: 0 },
    uses: {
      purposes: [
        { code: 'stolen-vehicle', label: 'a stolen vehicle' },
        { code: 'wanted-missing-person', label: 'a vehicle of a wanted, missing or endangered person' },
        { code: 'warrant', label: 'a vehicle registered to a person with an outstanding warrant' },
        { code: 'suspended', label: 'a vehicle of a person whose licence or registration is suspended or revoked' },
        {
          code: 'suspect',
          label: 'a vehicle of a person suspected of a criminal or terrorist act or a motor vehicle violation',
        },
        { code: 'commercial-trucking', label: 'a violation of commercial trucking requirements' },
        { code: 'case-surveillance', label: 'case-specific criminal investigative surveillance' },
        { code: 'major-crime', label: 'a vehicle involved in a homicide, a shooting or another major crime' },
        { code: 'recent-crime', label: 'a vehicle near a recent crime that may be connected to it' },
      ],
      prohibited: PROHIBITED,
    },
    sharing: { allowed: false },
    publication: { everyDays: 365 },
  },
  sections: {
    upload: { section: 'RSA 261:75-b, VIII', unsure: true },
    unmatchedInMemory: { section: 'RSA 261:75-b, VIII', unsure: true },
    'retention.unmatchedDays': { section: 'RSA 261:75-b, VIII', unsure: true },
    'retention.matchedDays': { section: 'RSA 261:75-b, VIII', unsure: true },
    'retention.cropDays': { section: 'RSA 261:75-b, I and VIII', unsure: true },
    'retention.quarantineDays': { section: 'RSA 261:75-b, VIII', unsure: true },
    'hotlists.staleLists': { section: 'RSA 261:75-b, IV' },
    'uses.purposes': { section: 'RSA 261:75-b, V' },
    'sharing.allowed': { section: 'RSA 261:75-b, VIII', unsure: true },
    'publication.everyDays': { section: 'N.H. Code Admin. R. Saf-C 7204.01' },
  },
  duties: [
    {
      text: 'Refresh every list daily, and set its age limit to match: candor hotlist set LIST --max-age 24.',
      section: 'RSA 261:75-b, IV',
    },
    {
      text: 'A match alone is no ground to stop anybody: it is confirmed, or there is another one.',
      section: 'RSA 261:75-b, VI',
    },
    {
      text: 'A match is kept beyond its days only for a case that came of it: place a hold until its final disposition.',
      section: 'RSA 261:75-b, VIII',
      unsure: true,
    },
    {
      text: 'Register each device with the department of safety, and report matches, stops and outcomes each year.',
      section: 'RSA 261:75-b, III; Saf-C 7204.01',
    },
    {
      text: 'The definition speaks of devices that are mounted to a vehicle and attended by an officer: ask before you set up a fixed one.',
      section: 'RSA 259:68-a',
    },
  ],
}
