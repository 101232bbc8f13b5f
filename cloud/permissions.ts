/** Who may do what: the one table of roles and permissions. The API, the broker and the pages ask here. */
import { AppError } from '../shared/errors.ts'

export const ROLES = [
  'officer',
  'supervisor',
  'investigator',
  'hotlist-admin',
  'camera-technician',
  'policy-admin',
  'account-admin',
  'auditor',
  'partner',
] as const
export type Role = (typeof ROLES)[number]

/** What an account may hold: `partner` is how another agency's cloud is known, by its certificate and never by a log-in. */
export const PERSON_ROLES: readonly Role[] = ROLES.filter((role) => role !== 'partner')

/**
 * The duties are kept apart: who searches does not read the audit of searches, who reads the audit changes nothing, and who
 * makes accounts cannot search. One account may hold several roles; nobody may change their own (accounts.ts).
 */
const GRANTS = {
  /** Works alerts of the own groups; sees no plain read, which is not criminal-justice information until it matched. */
  officer: ['alerts.read', 'alerts.verify'],
  /** As an officer, watches reads arrive, puts single plates on lists made by hand, and sees how often alerts were misread. */
  supervisor: [
    'alerts.read',
    'alerts.verify',
    'holds.read',
    'holds.write',
    'hotlists.enter',
    'outcomes.read',
    'review.read',
    'review.decide',
    'sightings.watch',
  ],
  /** Searches stored reads, each search with case number, offence type and reason, and has what a case needs kept. */
  investigator: ['alerts.read', 'holds.read', 'holds.write', 'search.run', 'search.export', 'sightings.view'],
  'hotlist-admin': ['hotlists.read', 'hotlists.write', 'hotlists.enter', 'outcomes.read'],
  /** Enrols camera units, and changes their system and settings. */
  'camera-technician': ['cameras.read', 'cameras.write', 'roll_outs.read', 'roll_outs.write'],
  /** Decides what leaves a camera, how long it is kept, with whom it is shared, what is published, who witnesses the audit, and which other programs get alerts. */
  'policy-admin': [
    'audit.witness',
    'policy.read',
    'policy.write',
    'sharing.read',
    'sharing.write',
    'transparency.publish',
    'transparency.read',
    'webhooks.read',
    'webhooks.write',
  ],
  'account-admin': ['accounts.read', 'accounts.write'],
  auditor: [
    'audit.read',
    'policy.read',
    'hotlists.read',
    'cameras.read',
    'accounts.read',
    'outcomes.read',
    'webhooks.read',
    'holds.read',
    'review.read',
    'roll_outs.read',
    'sharing.read',
    'transparency.read',
  ],
  /** Another agency's cloud: searches under a grant and the owner's policy; never a person's account. */
  partner: ['search.shared'],
} as const satisfies Record<Role, readonly string[]>

export type Permission = (typeof GRANTS)[Role][number]

export const PERMISSIONS: readonly Permission[] = [...new Set(Object.values(GRANTS).flat())].sort()

/** What the first administrator of a new installation gets: set everything up, but neither search nor read the audit. */
export const FIRST_ADMINISTRATOR_ROLES: readonly Role[] = [
  'account-admin',
  'camera-technician',
  'hotlist-admin',
  'policy-admin',
]

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text)
}

export function may(roles: readonly Role[], permission: Permission): boolean {
  return roles.some((role) => (GRANTS[role] as readonly Permission[]).includes(permission))
}

export function permissionsOf(roles: readonly Role[]): Permission[] {
  return PERMISSIONS.filter((permission) => may(roles, permission))
}

/** Throws `forbidden`, naming the roles that would do. */
export function requirePermission(roles: readonly Role[], permission: Permission): void {
  if (may(roles, permission)) return
  const would = ROLES.filter((role) => may([role], permission))
  throw new AppError('forbidden', `this needs the permission ${permission}`, {
    hint: `an account administrator can give you the role ${would.join(' or ')}`,
  })
}
