/** `boot-state-file.ts FILE`: the partition `bootstate` of a fresh card. Run by scripts/image. */
import { truncateSync, writeFileSync } from 'node:fs'
import { BOOT_STATE_BYTES, encodeBootState, FIRST_STATE } from '../unit/boot-state.ts'

const [file = ''] = process.argv.slice(2)
writeFileSync(file, encodeBootState(FIRST_STATE))
truncateSync(file, BOOT_STATE_BYTES)
