/** What is said of the system beside the figures, from the policy and the lists in force: what is recorded, what for, by whom, how long. Pure. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { Policy } from '../../shared/wire/policy.ts'
import type { ListStatus } from '../hotlists/rows.ts'
import type { Section } from './document.ts'

const section = (id: string, title: string, rest: Partial<Section>): Section => ({
  ...{ id, title, paragraphs: [], figures: [], tables: [], lists: [] },
  ...rest,
})

/** `3 minutes`, `21 days`. */
export function lasting(days: number): string {
  const ms = days * DAY_MS
  const [length, name] = ms >= DAY_MS ? [DAY_MS, 'day'] : ms >= HOUR_MS ? [HOUR_MS, 'hour'] : [MINUTE_MS, 'minute']
  const count = Math.round((ms / length) * 10) / 10
  return `${count} ${name}${count === 1 ? '' : 's'}`
}

export function recordedSection(policy: Policy): Section {
  const recorded = [
    'The text of licence plates, how sure the reader is of it, and other texts that it may be.',
    'The state or country of a plate where its looks tell it, and the colour of the vehicle where that is clear.',
    'Camera, time, and a picture of the plate; around the plate it is made of coarse cells in which nobody can be recognised.',
    'Vehicles whose plate cannot be read, without a plate.',
  ]
  const never = [
    'Faces, people, their gender, race, clothing or number.',
    'Speed, red lights or parking.',
    'Who owns or drives a vehicle: the system holds no register of owners.',
  ]
  const leaves =
    policy.upload === 'all'
      ? 'Cameras send every sighting to the agency’s own server.'
      : 'Only sightings that meet an entry of a list leave a camera.'
  const memory = policy.unmatchedInMemory ? ' A sighting that meets none is never written to a disk.' : ''
  return section('recorded', 'What is recorded and what is not', {
    paragraphs: [leaves + memory],
    lists: [
      { title: 'Recorded', points: recorded },
      { title: 'Not recorded', points: never },
    ],
  })
}

export function usesSection({ uses, search }: Policy): Section {
  const access = [
    'Every search needs a case number, an offence type and a reason, and is refused without them.',
    ...(uses.purposes.length === 0 ? [] : ['Every search states one of the purposes above.']),
    'Each search, each picture seen and each refused attempt is written into a log that cannot be changed unnoticed, and that is never read by those who search.',
    'Only people with the role of investigator search stored reads; nobody changes their own rights.',
    ...search.scopes.map(
      ({ role, maxAgeDays }) =>
        `${role === 'partner' ? 'Another agency, under a grant that names it,' : `The role ${role}`} searches ${maxAgeDays === null ? 'all that is kept' : `what was seen in the last ${lasting(maxAgeDays)}`}.`,
    ),
  ]
  const prohibited = [
    'Immigration enforcement: entries for it are taken out of every list before it is used.',
    ...uses.prohibited.map(({ label, words }) =>
      words.length === 0 ? `${label}.` : `${label}; searches that name it are refused.`,
    ),
  ]
  const purposes =
    uses.purposes.length === 0
      ? ['The investigation of the offence that each search names, under its case number.']
      : uses.purposes.map(({ label }) => `${label}.`)
  return section('uses', 'What it may be used for', {
    lists: [
      { title: 'Acceptable uses', points: purposes },
      { title: 'Prohibited uses', points: prohibited },
      { title: 'Access', points: access },
    ],
  })
}

export function listsSection(lists: readonly Pick<ListStatus, 'list' | 'source' | 'version' | 'maxAgeMs'>[]): Section {
  const inForce = lists.filter(({ version }) => version !== null)
  return section('hotlists', 'Lists that raise alerts, and how each alert is verified', {
    paragraphs: [
      'An alert says that a plate may be on a list. It is no ground to act: an officer first compares the picture with the plate, then confirms the entry with whoever made it. The system refuses a step that is skipped, and logs each one.',
    ],
    lists: [
      {
        title: 'Lists',
        points:
          inForce.length === 0
            ? ['None.']
            : inForce.map(
                ({ list, source, maxAgeMs }) =>
                  `${list}: source ${source}, out of date after ${lasting(maxAgeMs / DAY_MS)}.`,
              ),
      },
    ],
  })
}

export function retentionSection({ retention, audit, holds }: Policy): Section {
  return section('retention', 'How long it is kept', {
    lists: [
      {
        title: 'Kept for',
        points: [
          `Sightings that met no entry of a list: ${lasting(retention.unmatchedDays)}.`,
          `Sightings that met one, and their alerts: ${lasting(retention.matchedDays)}.`,
          `Pictures: ${lasting(retention.cropDays)}.`,
          `The log of use: ${audit.days === null ? 'for ever' : lasting(audit.days)}.`,
          `What a case needs may be held longer, for at most ${lasting(holds.maxDays)} at a time, by name and with its legal basis.`,
        ],
      },
    ],
  })
}

/** `organisations`: who may search under a grant in force. */
export function sharingSection({ sharing }: Policy, organisations: readonly string[]): Section {
  const none = sharing.allowed
    ? 'No other organisation has access.'
    : 'No other organisation has access: the policy does not allow it.'
  return section('sharing', 'Who else has access', {
    paragraphs:
      organisations.length === 0 ? [none] : ['Nothing is shared without a grant that names the organisation.'],
    lists: organisations.length === 0 ? [] : [{ title: 'Organisations with access', points: [...organisations] }],
  })
}

export function askingSection({ publication }: Policy): Section {
  const contact =
    publication.contact === ''
      ? 'The agency has not named a contact for this yet; ask it for its records officer.'
      : `Ask: ${publication.contact}`
  return section('asking', 'Was my plate searched?', {
    paragraphs: [
      'You can ask the agency whether your own plate was searched. The log does not hold plates, but keyed digests of them; an auditor with the key can tell which searches were for exactly your plate, when, for which kind of offence, and whether they were refused. Searches by a pattern cannot be told apart by plate.',
      contact,
    ],
  })
}

export function methodSection(smallCount: number): Section {
  const small =
    smallCount < 2
      ? 'No small counts are hidden in this report.'
      : `Counts from 1 to ${smallCount - 1} of searches, alerts and people are shown as “fewer than ${smallCount}”. Where such a count could be worked out from the others and their total, one more is marked “not shown”, or the whole table is left out; which one does not depend on the small count. Lists with small counts are added up.`
  return section('method', 'How these figures were made', {
    paragraphs: [
      'They are counted by the system itself when something happens, for the day (UTC) on which its server learned of it, and do not depend on how long anything else is kept. A published report is never changed; a correction is a new one for the same period, and periods never overlap otherwise.',
      small,
    ],
  })
}
