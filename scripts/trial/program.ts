/** How `candor` is started by tests, measurements and the demo. */
import { fileURLToPath } from 'node:url'

/** Set by run-tests.ts: the command line as it has built it for all tests of a run, which start hundreds. */
export const BUILT_VARIABLE = 'CANDOR_TESTED'

/** What stands before the command on the command line of Node.js. */
export function candorProgram(): readonly string[] {
  const built = process.env[BUILT_VARIABLE]
  if (built !== undefined) return [built]
  return ['--import', import.meta.resolve('tsx'), fileURLToPath(new URL('../candor.ts', import.meta.url))]
}
