/** `candor schema` and `candor topics`: the wire contract, printed from the code that enforces it. */
import type { Command } from 'commander'
import { usageError } from './options.ts'

export function register(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schemas of everything on the wire')
    .argument('[name]', 'only this one, such as sighting or alert')
    .action(async (name: string | undefined) => {
      const { wireJsonSchemas } = await import('../../shared/wire/index.ts')
      const schemas = wireJsonSchemas()
      if (name === undefined) {
        process.stdout.write(`${JSON.stringify(schemas, null, 2)}\n`)
        return
      }
      if (!Object.hasOwn(schemas, name)) {
        throw usageError(`there is no schema ${name}; there are: ${Object.keys(schemas).join(', ')}`)
      }
      process.stdout.write(`${JSON.stringify(schemas[name], null, 2)}\n`)
    })

  program
    .command('topics')
    .description('print every MQTT topic with who may publish and subscribe')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { TOPIC_RIGHTS, TOPIC_ROOT } = await import('../../shared/topics.ts')
      const rows = TOPIC_RIGHTS.map((row) => ({ ...row, topic: `${TOPIC_ROOT}/{agency}/${row.topic}` }))
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`)
        return
      }
      for (const row of rows) {
        const retained = row.retained ? ', retained' : ''
        process.stdout.write(
          `${row.topic}\n  publishes: ${row.publishes}; subscribes: ${row.subscribes}; QoS ${row.qos}${retained}\n`,
        )
      }
    })
}
