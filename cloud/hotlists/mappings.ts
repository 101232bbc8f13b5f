/**
 * Saved mappings, each for any number of lists, and which one a list was last imported with. Owns tables list_mappings and
 * list_mapping_uses. Called by the API.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Database } from '../database/database.ts'
import type { ListMappingsTable } from '../database/schema-administration.ts'
import { BUILT_IN_MAPPINGS, type ListMapping, listMappingSchema, NO_MAPPING } from './mapping.ts'

export const MAX_LIST_MAPPINGS = 64

export interface SavedMapping {
  name: string
  mapping: ListMapping
  /** null: it is shipped. */
  savedAtMs: number | null
  savedBy: string | null
  /** Lists whose next import is read by it when nothing else is said. */
  usedBy: string[]
}

export interface ListMappings {
  /** By name, the shipped ones first. */
  list(): Promise<SavedMapping[]>
  /** Throws `not_found`. */
  get(name: string): Promise<SavedMapping>
  /** Takes the place of one of that name. Throws `conflict` for names that are taken by us, `too_large`. */
  save(name: string, mapping: ListMapping, by: string): Promise<SavedMapping>
  /** Throws `not_found`, and `conflict` while a list uses it. */
  remove(name: string): Promise<void>
  /**
   * What an import of `list` is read by. `wanted`: a name, `none` for our own column names, undefined for what the last import was
   * read by. Throws `not_found`.
   */
  choose(list: string, wanted: string | undefined): Promise<{ name: string; mapping: ListMapping } | null>
  /** For the next import; null: our own column names. */
  remember(list: string, name: string | null): Promise<void>
}

export function createListMappings({ database, clock }: { database: Database; clock: Clock }): ListMappings {
  const { build } = database

  const uses = () => database.read(build.selectFrom('list_mapping_uses').selectAll().orderBy('list'))

  async function find(name: string): Promise<Omit<SavedMapping, 'usedBy'> | null> {
    const builtIn = Object.hasOwn(BUILT_IN_MAPPINGS, name) ? BUILT_IN_MAPPINGS[name] : undefined
    if (builtIn !== undefined) return { name, mapping: builtIn, savedAtMs: null, savedBy: null }
    const [row] = await database.read(build.selectFrom('list_mappings').selectAll().where('name', '=', name))
    return row === undefined ? null : toSaved(row)
  }

  async function get(name: string): Promise<SavedMapping> {
    const found = await find(name)
    if (found === null) {
      throw new AppError('not_found', `there is no list mapping ${name}`, {
        hint: '`candor hotlist mapping list` shows those there are',
      })
    }
    return { ...found, usedBy: usersOf(name, await uses()) }
  }

  return {
    get,
    async list() {
      const [saved, used] = [
        await database.read(build.selectFrom('list_mappings').selectAll().orderBy('name').limit(MAX_LIST_MAPPINGS)),
        await uses(),
      ]
      const shipped = Object.entries(BUILT_IN_MAPPINGS).map(([name, mapping]) => ({
        ...{ name, mapping, savedAtMs: null, savedBy: null },
      }))
      return [...shipped, ...saved.map(toSaved)].map((one) => ({ ...one, usedBy: usersOf(one.name, used) }))
    },
    async save(name, mapping, by) {
      if (name === NO_MAPPING || Object.hasOwn(BUILT_IN_MAPPINGS, name)) {
        throw new AppError('conflict', `${name} has a meaning of its own`, { hint: 'take another name' })
      }
      const others = await database.read(
        build.selectFrom('list_mappings').select('name').where('name', '!=', name).limit(MAX_LIST_MAPPINGS),
      )
      if (others.length >= MAX_LIST_MAPPINGS) {
        throw new AppError('too_large', `there are ${MAX_LIST_MAPPINGS} list mappings, the most there may be`, {
          hint: 'remove one that no list uses',
        })
      }
      const changing = { document: JSON.stringify(mapping), saved_at_ms: clock.nowMs(), saved_by: by }
      await database.writeBatch([
        build
          .insertInto('list_mappings')
          .values({ name, ...changing })
          .onConflict((conflict) => conflict.column('name').doUpdateSet(changing)),
      ])
      return get(name)
    },
    async remove(name) {
      const { savedBy, usedBy } = await get(name)
      if (savedBy === null) throw new AppError('conflict', `${name} is shipped and stays`)
      if (usedBy.length > 0) {
        throw new AppError('conflict', `${name} is used by ${usedBy.join(', ')}`, {
          hint: 'import these with another mapping first, or with `--mapping none`',
        })
      }
      await database.writeBatch([build.deleteFrom('list_mappings').where('name', '=', name)])
    },
    async choose(list, wanted) {
      const name = wanted ?? (await uses()).find((use) => use.list === list)?.mapping ?? NO_MAPPING
      if (name === NO_MAPPING) return null
      const { mapping } = await get(name)
      return { name, mapping }
    },
    async remember(list, name) {
      const none = build.deleteFrom('list_mapping_uses').where('list', '=', list)
      await database.writeBatch(
        name === null ? [none] : [none, build.insertInto('list_mapping_uses').values({ list, mapping: name })],
      )
    },
  }
}

const usersOf = (name: string, used: readonly { list: string; mapping: string }[]) =>
  used.filter(({ mapping }) => mapping === name).map(({ list }) => list)

function toSaved(row: ListMappingsTable): Omit<SavedMapping, 'usedBy'> {
  const { success, data, error } = listMappingSchema.safeParse(JSON.parse(row.document))
  if (!success) throw new AppError('integrity', `the list mapping ${row.name} cannot be read`, { cause: error })
  return { name: row.name, mapping: data, savedAtMs: row.saved_at_ms, savedBy: row.saved_by }
}
