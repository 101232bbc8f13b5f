/** `boot-state-file.ts FILE`: the partition `bootstate` of a fresh card. Run by scripts/image. */
import { writeFileSync } from 'node:fs'
import { freshBootState } from '../unit/boot-state.ts'

const [file = ''] = process.argv.slice(2)
writeFileSync(file, freshBootState())
