/**
 * What a profile is: the rules of one statute or published policy as values of ours, each with its section, and the duties that no value can
 * fulfil. The profiles are data, in profiles/. Pure. Called by policy.ts, render.ts and the API.
 */
import { AppError } from '../../shared/errors.ts'
import { type Policy, policySchema } from '../../shared/wire/policy.ts'
import { EARLIEST_TIME_MS } from '../../shared/wire/sighting.ts'
import type { PolicyChange, PolicyRules } from './change.ts'
import { PROFILES } from './profiles/index.ts'

export interface Section {
  section: string
  /** Not confirmed in the text of the source. */
  unsure?: true
}

export interface Profile {
  id: string
  title: string
  /** The statute or document as a whole. */
  citation: string
  /** What of it was read, and when. */
  read: string
  /** What is not said has the value of a first policy. */
  rules: PolicyChange & Pick<Policy, 'retention'>
  /** By field of rules.ts: where it says so. A rule without one is Candor's own choice. */
  sections: Readonly<Record<string, Section>>
  /** What the agency must see to itself. */
  duties: readonly (Section & { text: string })[]
}

/** Stands with every profile and every rendering of one. */
export const NO_LEGAL_ADVICE =
  'This is no legal advice. It is one reading of public texts, which may be wrong, incomplete or out of date; sections marked (unsure) were not confirmed in the text itself, and a rule without a section is Candor’s own choice. Have your counsel check it before you rely on it.'

export function profiles(): readonly Profile[] {
  return PROFILES
}

/** Throws `not_found`. */
export function getProfile(id: string): Profile {
  const found = PROFILES.find((profile) => profile.id === id)
  if (found !== undefined) return found
  throw new AppError('not_found', `no profile ${id}`, { hint: '`candor policy profiles` lists them' })
}

export const nameOf = ({ id, citation }: Profile): NonNullable<Policy['profile']> => ({ id, citation })

/** Every rule of the profile. A change under it needs a second person. */
export function rulesOf(profile: Profile): PolicyRules {
  const named = { secondPerson: true, profile: nameOf(profile) }
  const whole = policySchema.parse({
    agency: 'any',
    version: 1,
    issuedAtMs: EARLIEST_TIME_MS,
    ...profile.rules,
    ...named,
  })
  const { agency: _, version: __, issuedAtMs: ___, ...rules } = whole
  return rules
}

/** As a change of a policy. What only the agency can know stays: whom to ask, its shifts and the categories that it prohibits. */
export function changeTo(profile: Profile): PolicyChange {
  const { hotlists, publication, ...rules } = rulesOf(profile)
  const { prohibitedCategories, shifts, ...hotlistRules } = hotlists
  const { contact, ...publicationRules } = publication
  const own = profile.rules
  return {
    ...rules,
    hotlists: {
      ...hotlistRules,
      ...(own.hotlists?.prohibitedCategories === undefined ? {} : { prohibitedCategories }),
      ...(own.hotlists?.shifts === undefined ? {} : { shifts }),
    },
    publication: { ...publicationRules, ...(own.publication?.contact === undefined ? {} : { contact }) },
  }
}

/** A policy says that it began as a profile only where there is such a one. Throws `bad_input`. */
export function checkNamed(profile: PolicyChange['profile']): void {
  if (profile === undefined || profile === null) return
  const isOurs = PROFILES.some(({ id, citation }) => id === profile.id && citation === profile.citation)
  if (!isOurs) throw new AppError('bad_input', 'profile: none of the profiles', { hint: 'leave it out' })
}
