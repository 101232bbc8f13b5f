/**
 * Every rule of the policy, once: how it is said in plain English, and what makes a change of it a looser one. The rendering, the diff and
 * the citations of profiles all go by this table. Pure.
 */
import type { Policy } from '../../shared/wire/policy.ts'
import { inDays, inHours, inWords } from './words.ts'

export interface PolicyRule {
  /** Its place in the document, such as `retention.unmatchedDays`. */
  field: string
  value(policy: Policy): unknown
  /** One or two sentences. */
  say(policy: Policy): string
  /** More is kept, for longer, or shared wider, or less is checked and told. */
  loosens(before: Policy, after: Policy): boolean
}

export interface PolicySection {
  title: string
  rules: readonly PolicyRule[]
}

function rule<T>(
  field: string,
  value: (policy: Policy) => T,
  say: (said: T, policy: Policy) => string,
  loosens: (before: T, after: T) => boolean,
): PolicyRule {
  return {
    field,
    value,
    say: (policy) => say(value(policy), policy),
    loosens: (before, after) => loosens(value(before), value(after)),
  }
}

const grows = (before: number, after: number) => after > before
const falls = (before: number, after: number) => after < before
const goesOff = (before: boolean, after: boolean) => before && !after
const goesOn = (before: boolean, after: boolean) => !before && after
const loses = (before: readonly string[], after: readonly string[]) => before.some((one) => !after.includes(one))
const gains = (before: readonly string[], after: readonly string[]) => loses(after, before)
/** A list that, empty, allows everything. */
const widens = (before: readonly string[], after: readonly string[]) =>
  before.length > 0 && (after.length === 0 || gains(before, after))
/** null: without end, or never. */
const orEndless = (days: number | null) => days ?? Number.POSITIVE_INFINITY
/** With the code by which a search names it. */
const withCodes = (uses: readonly { code: string; label: string }[]) =>
  uses.map(({ code, label }) => `${label} (${code})`)
const codes = (uses: readonly { code: string }[]) => uses.map(({ code }) => code)

type Scopes = Policy['search']['scopes']
type Scope = Scopes[number]
/** What a role that no scope names may do. */
const UNNAMED: Record<Scope['role'], Omit<Scope, 'role'> | null> = {
  investigator: { maxAgeDays: null, purposes: [], patterns: true, exports: true },
  partner: null,
}

function scopesLoosen(before: Scopes, after: Scopes): boolean {
  return (['investigator', 'partner'] as const).some((role) => {
    const was = before.find((scope) => scope.role === role) ?? UNNAMED[role]
    const is = after.find((scope) => scope.role === role) ?? UNNAMED[role]
    if (is === null) return false
    if (was === null) return true
    return (
      grows(orEndless(was.maxAgeDays), orEndless(is.maxAgeDays)) ||
      widens(was.purposes, is.purposes) ||
      goesOn(was.patterns, is.patterns) ||
      goesOn(was.exports, is.exports)
    )
  })
}

function sayScope({ role, maxAgeDays, purposes, patterns, exports }: Scope, policy: Policy): string {
  const who = role === 'partner' ? 'Another organisation, under a grant that names it,' : 'An investigator'
  const named = purposes.map((code) => policy.uses.purposes.find((purpose) => purpose.code === code)?.label ?? code)
  return [
    `${who} may search ${maxAgeDays === null ? 'all that is kept' : `what was seen in the last ${inDays(maxAgeDays)}`}`,
    purposes.length === 0 ? '' : ` for ${inWords(named, 'or')}`,
    patterns ? ', by pattern, place or colour too' : ', by a whole plate alone',
    exports ? ', and may take results out of the system.' : ', and may not take results out of the system.',
  ].join('')
}

export const POLICY_SECTIONS: readonly PolicySection[] = [
  {
    title: 'What is kept, and for how long',
    rules: [
      rule(
        'retention.unmatchedDays',
        (policy) => policy.retention.unmatchedDays,
        (days) =>
          `A sighting of a vehicle that is on no list is deleted after ${inDays(days)}, on the camera and in the cloud.`,
        grows,
      ),
      rule(
        'unmatchedInMemory',
        (policy) => policy.unmatchedInMemory,
        (isOn) =>
          isOn
            ? 'Until then it is in the camera’s memory alone: it never touches a disk, and is gone when the power is.'
            : 'Until then it may be stored on disk.',
        goesOff,
      ),
      rule(
        'retention.matchedDays',
        (policy) => policy.retention.matchedDays,
        (days) => `A sighting of a listed vehicle, and its alert, are deleted after ${inDays(days)}.`,
        grows,
      ),
      rule(
        'retention.cropDays',
        (policy) => policy.retention.cropDays,
        (days) => `Evidence pictures are deleted after ${inDays(days)}, and with their sighting if that goes before.`,
        grows,
      ),
      rule(
        'retention.quarantineDays',
        (policy) => policy.retention.quarantineDays,
        (days) => `What cameras sent and could never be valid is set aside, and deleted after ${inDays(days)}.`,
        grows,
      ),
      rule(
        'holds.maxDays',
        (policy) => policy.holds.maxDays,
        (days) => `What a case needs may be held back from deletion for up to ${inDays(days)} at a time.`,
        grows,
      ),
      rule(
        'audit.days',
        (policy) => policy.audit.days,
        (days) => `The record of every use is kept ${days === null ? 'for ever' : `for ${inDays(days)}`}.`,
        (before, after) => falls(orEndless(before), orEndless(after)),
      ),
    ],
  },
  {
    title: 'What leaves a camera',
    rules: [
      rule(
        'upload',
        (policy) => policy.upload,
        (what) =>
          what === 'all'
            ? 'Every sighting is sent to the agency’s cloud.'
            : 'Only sightings of listed vehicles are sent to the agency’s cloud; all others never leave the camera.',
        (before, after) => before === 'matches-only' && after === 'all',
      ),
    ],
  },
  {
    title: 'What it may be used for',
    rules: [
      rule(
        'uses.purposes',
        (policy) => policy.uses.purposes,
        (purposes) =>
          purposes.length === 0
            ? 'A search need not name a purpose from a list.'
            : `A search must name one of these purposes: ${inWords(withCodes(purposes), 'or')}.`,
        (before, after) => widens(codes(before), codes(after)),
      ),
      rule(
        'uses.offenceTypes',
        (policy) => policy.uses.offenceTypes,
        (types) =>
          types.length === 0
            ? 'The type of offence of a search is written freely.'
            : `The type of offence of a search must be one of: ${inWords(types, 'or')}.`,
        widens,
      ),
      rule(
        'uses.prohibited',
        (policy) => policy.uses.prohibited,
        (prohibited) =>
          prohibited.length === 0
            ? 'No use is refused by its words.'
            : `These uses are refused: ${inWords(prohibited.map(({ label, words }) => (words.length === 0 ? label : `${label} (words: ${words.join(', ')})`)))}.`,
        (before, after) =>
          loses(codes(before), codes(after)) ||
          before.some(({ code, words }) => loses(words, after.find((one) => one.code === code)?.words ?? [])),
      ),
    ],
  },
  {
    title: 'Who may search what',
    rules: [
      rule(
        'search.scopes',
        (policy) => policy.search.scopes,
        (scopes, policy) =>
          [
            ...scopes.map((scope) => sayScope(scope, policy)),
            ...(scopes.some(({ role }) => role === 'investigator')
              ? []
              : ['Investigators may search all that is kept, in every way, and take results out of the system.']),
            ...(scopes.some(({ role }) => role === 'partner') ? [] : ['Other organisations may search nothing.']),
          ].join(' '),
        scopesLoosen,
      ),
    ],
  },
  {
    title: 'Sharing',
    rules: [
      rule(
        'sharing.allowed',
        (policy) => policy.sharing.allowed,
        (isOn) =>
          isOn
            ? 'Reads may be shared, but only by a grant that names the organisation, what, for which purposes and for how long.'
            : 'Nothing is shared with any other organisation.',
        goesOn,
      ),
      rule(
        'sharing.jurisdictions',
        (policy) => policy.sharing.jurisdictions,
        (places) =>
          places.length === 0
            ? 'A grant may name an organisation of any state.'
            : `A grant may only name an organisation of ${inWords(places, 'or')}.`,
        widens,
      ),
      rule(
        'sharing.maxGrantDays',
        (policy) => policy.sharing.maxGrantDays,
        (days) => `A grant ends after ${inDays(days)} at the latest.`,
        grows,
      ),
    ],
  },
  {
    title: 'Hotlists',
    rules: [
      rule(
        'hotlists.prohibitedCategories',
        (policy) => policy.hotlists.prohibitedCategories,
        (categories) =>
          `Entries of these categories are dropped at import and reach no camera: ${inWords(['immigration', ...categories])}.`,
        loses,
      ),
      rule(
        'hotlists.staleLists',
        (policy) => policy.hotlists.staleLists,
        (what) =>
          what === 'mark'
            ? 'A list past its age limit still matches, and its alerts say so.'
            : 'A list past its age limit matches nothing.',
        (before, after) => before === 'stop' && after === 'mark',
      ),
      rule(
        'hotlists.manualNeedsSecondPerson',
        (policy) => policy.hotlists.manualNeedsSecondPerson,
        (isOn) =>
          isOn
            ? 'An entry made by hand waits until a second person has approved it.'
            : 'An entry made by hand needs no second person.',
        goesOff,
      ),
      rule(
        'hotlists.manualMaxHours',
        (policy) => policy.hotlists.manualMaxHours,
        (hours) => `An entry made by hand lives for at most ${inHours(hours)}.`,
        grows,
      ),
      rule(
        'hotlists.shifts',
        (policy) => policy.hotlists.shifts,
        (shifts) =>
          shifts === null
            ? 'When shifts end is not said.'
            : `Shifts end at ${inWords(shifts.ends)} in ${shifts.timeZone}.`,
        () => false,
      ),
      rule(
        'hotlists.manualEndsWithShift',
        (policy) => policy.hotlists.manualEndsWithShift,
        (isOn) =>
          isOn
            ? 'An entry made by hand ends with the shift in which it was made.'
            : 'An entry made by hand may outlive the shift.',
        goesOff,
      ),
      rule(
        'hotlists.checkPastHours',
        (policy) => policy.hotlists.checkPastHours,
        (hours) =>
          hours === 0
            ? 'New entries are not held against what was seen before.'
            : `New entries are held against what was seen in the last ${inHours(hours)}.`,
        grows,
      ),
    ],
  },
  {
    title: 'Review and publication',
    rules: [
      rule(
        'review.everyDays',
        (policy) => policy.review.everyDays,
        (days) => `Somebody else than those who searched reviews the searches of every ${inDays(days)}.`,
        grows,
      ),
      rule(
        'review.repeatedTarget',
        (policy) => policy.review.repeatedTarget,
        (count) => `A review is told of a person who searched one plate ${count} times or more.`,
        grows,
      ),
      rule(
        'review.suddenVolume',
        (policy) => policy.review.suddenVolume,
        (times) => `A review is told of a person who searched ${times} times as much as usual.`,
        grows,
      ),
      rule(
        'publication.everyDays',
        (policy) => policy.publication.everyDays,
        (days) =>
          days === null
            ? 'Figures of use are published when somebody asks for it.'
            : `Figures of use are published every ${inDays(days)}.`,
        (before, after) => grows(orEndless(before), orEndless(after)),
      ),
      rule(
        'publication.smallCount',
        (policy) => policy.publication.smallCount,
        (count) =>
          count === 0
            ? 'Small counts are published as they are.'
            : `Counts of people or searches below ${count} are published as “fewer than ${count}”.`,
        grows,
      ),
      rule(
        'publication.contact',
        (policy) => policy.publication.contact,
        (contact) =>
          contact === ''
            ? 'It is not said whom to ask whether one’s own plate was searched.'
            : `Whoever wants to know whether their plate was searched asks: ${contact}.`,
        (before, after) => before !== '' && after === '',
      ),
    ],
  },
  {
    title: 'Changes of this policy',
    rules: [
      rule(
        'secondPerson',
        (policy) => policy.secondPerson,
        (isOn) =>
          isOn
            ? 'A change is proposed by one person and approved by another before it is in force.'
            : 'One person may change this policy.',
        goesOff,
      ),
      rule(
        'profile',
        (policy) => policy.profile,
        (profile) =>
          profile === null
            ? 'It was not made from a published profile.'
            : `It began as the profile ${profile.id} (${profile.citation}).`,
        () => false,
      ),
    ],
  },
]

export const POLICY_RULES: readonly PolicyRule[] = POLICY_SECTIONS.flatMap(({ rules }) => rules)
