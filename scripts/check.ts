/**
 * Holds the rules of the house that a machine can hold (`npm run check`, part of scripts/test): prints each problem as
 * `path:line: rule: problem` and exits 1 when there is one.
 */
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  deadFiles,
  doors,
  fileHeads,
  fileLength,
  houseNames,
  importDirections,
  leftOvers,
  oneImporter,
  oneOwner,
  testsRun,
} from './check/rules.ts'
import { type Problem, readCheckout } from './check/source.ts'
import { readmeTree } from './check/tree.ts'

const RULES = [
  importDirections,
  oneImporter,
  oneOwner,
  doors,
  deadFiles,
  testsRun,
  fileLength,
  leftOvers,
  fileHeads,
  houseNames,
  readmeTree,
]

const files = await readCheckout(resolve(dirname(fileURLToPath(import.meta.url)), '..'))
const problems: Problem[] = RULES.flatMap((rule) => rule(files))
for (const { path, line, rule, problem } of problems) {
  console.log(`${path}${line === null ? '' : `:${line}`}: ${rule}: ${problem}`)
}
console.log(`${RULES.length} rules, ${files.length} files, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
