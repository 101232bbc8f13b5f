/**
 * The README's configuration tables, made from the zod schemas that check the files. `node --import tsx scripts/config-table.ts`
 * writes them between their markers in README.md; the test fails when the README says something else.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { installationFolder } from '../shared/version.ts'

/** The parts of JSON Schema that zod prints for a configuration. */
interface Node {
  type?: string | string[]
  properties?: Record<string, Node>
  required?: string[]
  items?: Node
  anyOf?: Node[]
  oneOf?: Node[]
  const?: unknown
  enum?: unknown[]
  default?: unknown
  description?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
}

const INT_LIMIT = Number.MAX_SAFE_INTEGER

function range(node: Node): string {
  const low = node.exclusiveMinimum !== undefined ? `> ${node.exclusiveMinimum}` : (node.minimum ?? -INT_LIMIT)
  const high = node.maximum ?? INT_LIMIT
  const hasLow = typeof low === 'string' || low > -INT_LIMIT
  if (!hasLow && high >= INT_LIMIT) return ''
  if (high >= INT_LIMIT) return typeof low === 'string' ? ` ${low}` : ` ≥ ${low}`
  return typeof low === 'string' ? ` ${low}, ≤ ${high}` : ` ${hasLow ? low : ''}–${high}`
}

function kind(node: Node): string {
  if (node.const !== undefined) return `\`${String(node.const)}\``
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(' ')
  const choices = node.anyOf ?? node.oneOf
  if (choices !== undefined) return choices.map(kind).join(' or ')
  if (node.type === 'array') return `list of ${node.items === undefined ? 'values' : kind(node.items)}`
  return `${Array.isArray(node.type) ? node.type.join(' or ') : (node.type ?? 'value')}${range(node)}`
}

function rows(node: Node, path: string): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const here = path === '' ? name : `${path}.${name}`
    const nested =
      child.properties === undefined
        ? (child.oneOf ?? child.anyOf ?? []).filter((choice) => choice.properties)
        : [child]
    if (nested.length > 0) return nested.flatMap((choice) => rows(choice, here))
    const fallback =
      child.default !== undefined
        ? `\`${JSON.stringify(child.default)}\``
        : node.required?.includes(name)
          ? 'required'
          : '–'
    return [`| \`${here}\` | ${kind(child)} | ${fallback} | ${child.description ?? ''} |`]
  })
}

/** A Markdown table with one row a field: path, type and range, default, what it does. */
export function configTable(schema: z.ZodType): string {
  const node = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node
  return ['| field | value | default | meaning |', '| --- | --- | --- | --- |', ...rows(node, '')].join('\n')
}

const begin = (name: string) => `<!-- configuration: ${name} -->`
const end = '<!-- end -->'

/** `readme` with the text between the markers of `name` replaced by `table`. Throws when the markers are missing. */
export function withTable(readme: string, name: string, table: string): string {
  const from = readme.indexOf(begin(name))
  const to = readme.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error(`README.md has no ${begin(name)} … ${end}`)
  return `${readme.slice(0, from)}${begin(name)}\n${table}\n${readme.slice(to)}`
}

/** The README as it should be, from the schemas of camera and cloud. */
export async function readmeWithTables(readme: string): Promise<string> {
  const { edgeConfigSchema } = await import('../edge/config.ts')
  const { cloudConfigSchema } = await import('../cloud/config.ts')
  return withTable(withTable(readme, 'edge', configTable(edgeConfigSchema)), 'cloud', configTable(cloudConfigSchema))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const path = join(installationFolder(), 'README.md')
  writeFileSync(path, await readmeWithTables(readFileSync(path, 'utf8')))
}
