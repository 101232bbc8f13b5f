/** `candor hotlist mapping`: how the columns of an agency's list files are told, saved in the cloud by name. */
import type { Command } from 'commander'

const PATH = '/api/v1/list-mappings'

export function registerMapping(hotlist: Command): void {
  const mapping = hotlist.command('mapping').description('how list files of other layouts are read')

  mapping
    .command('save')
    .description('check a mapping and save it, in the place of one of that name')
    .argument('<name>')
    .argument('<file>', 'JSON; `candor hotlist mapping show ncic` prints one to begin with')
    .action(async (name: string, file: string) => {
      const { z } = await import('zod')
      const { AppError } = await import('../../shared/errors.ts')
      const { listMappingSchema } = await import('../../cloud/hotlists/mapping.ts')
      const { readText, withClient } = await import('./client.ts')
      const text = readText(file)
      let json: unknown
      try {
        json = JSON.parse(text)
      } catch (cause) {
        throw new AppError('bad_input', `${file} is not JSON`, { cause })
      }
      const checked = listMappingSchema.safeParse(json)
      if (!checked.success) {
        const lines = checked.error.issues.map(({ path, message }) => `  ${path.join('.') || 'mapping'}: ${message}`)
        throw new AppError('bad_input', `${file} is no mapping:\n${lines.join('\n')}`)
      }
      const schema = z.object({ usedBy: z.array(z.string()) })
      const { usedBy } = await withClient((client) =>
        client.call(schema, 'PUT', `${PATH}/${encodeURIComponent(name)}`, { json: checked.data }),
      )
      const used = usedBy.length === 0 ? '' : ` The next import of ${usedBy.join(', ')} is read by it.`
      process.stdout.write(`The mapping ${name} is saved.${used}\n`)
    })

  mapping
    .command('list')
    .description('mappings, and the lists that use them')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const schema = z.object({
        mappings: z.array(
          z.object({
            name: z.string(),
            format: z.string(),
            columns: z.int(),
            savedAtMs: z.int().nullable(),
            savedBy: z.string().nullable(),
            usedBy: z.array(z.string()),
          }),
        ),
      })
      const { mappings } = await withClient((client) => client.call(schema, 'GET', PATH))
      if (options.json === true) return printJson(mappings)
      const cells = mappings.map((one) => [
        one.name,
        one.format,
        String(one.columns),
        one.savedAtMs === null ? 'shipped' : `${time(one.savedAtMs)} by ${one.savedBy}`,
        one.usedBy.join(', '),
      ])
      process.stdout.write(table(['mapping', 'format', 'columns', 'saved', 'used by'], cells))
    })

  mapping
    .command('show')
    .description('the mapping as JSON, as `save` takes it')
    .argument('<name>')
    .action(async (name: string) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson } = await import('./terminal.ts')
      const schema = z.object({ mapping: z.record(z.string(), z.unknown()) })
      const found = await withClient((client) => client.call(schema, 'GET', `${PATH}/${encodeURIComponent(name)}`))
      printJson(found.mapping)
    })

  mapping
    .command('remove')
    .description('remove a mapping that no list uses')
    .argument('<name>')
    .action(async (name: string) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const schema = z.object({ name: z.string() })
      await withClient((client) => client.call(schema, 'DELETE', `${PATH}/${encodeURIComponent(name)}`))
      process.stdout.write(`The mapping ${name} is removed.\n`)
    })
}
