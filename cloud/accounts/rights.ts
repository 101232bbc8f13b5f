/** Roles and groups as an account holds them. Called by accounts.ts and its sessions. */
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { isRole, PERSON_ROLES, type Role } from '../permissions.ts'

export const MAX_GROUPS_PER_ACCOUNT = 32

export interface Rights {
  roles: readonly Role[]
  groups: readonly string[]
}

export function parseRoles(json: string): Role[] {
  return (JSON.parse(json) as string[]).filter(isRole)
}

/** Throws `bad_input`. */
export function checkRights(rights: Rights): void {
  for (const role of rights.roles) {
    if (!isRole(role) || !PERSON_ROLES.includes(role))
      throw new AppError('bad_input', `there is no role ${role} for a person`, {
        hint: `roles: ${PERSON_ROLES.join(', ')}`,
      })
  }
  for (const group of rights.groups) {
    if (!slugSchema.safeParse(group).success) throw new AppError('bad_input', 'a group must be 1-32 of a-z, 0-9 and -')
  }
  if (rights.groups.length > MAX_GROUPS_PER_ACCOUNT) {
    throw new AppError('too_large', `an account may be in ${MAX_GROUPS_PER_ACCOUNT} groups at most`)
  }
}

/** As columns of the table `accounts`: each once, in order. */
export function storedRights({ roles, groups }: Rights) {
  const list = (names: readonly string[]) => JSON.stringify([...new Set(names)].sort())
  return { roles: list(roles), alert_groups: list(groups) }
}
