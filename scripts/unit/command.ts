/** Programs of the system that a unit's own programs start: an argument list, never a shell; a time limit; what was said when it fails. */
import { execFile } from 'node:child_process'
import { AppError } from '../../shared/errors.ts'

/** What one may say, bytes. */
const MAX_OUTPUT_BYTES = 1024 * 1024

export type RunCommand = (program: string, args: readonly string[], timeoutMs: number) => Promise<string>

/** What it printed. Throws `unavailable` with its last words. */
export const runCommand: RunCommand = (program, args, timeoutMs) =>
  new Promise((resolve, reject) => {
    execFile(program, args, { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else {
        // GLib programs such as RAUC say how they get on in the same place as what went wrong.
        const lines = `${stdout}${stderr}`.split('\n').filter((line) => line.trim() !== '' && !/-Message: /.test(line))
        const said = lines.slice(-3).join(' ')
        const why = error.killed === true ? `took more than ${timeoutMs / 1_000} s` : said || error.message
        reject(new AppError('unavailable', `${program}: ${why}`, { cause: error }))
      }
    })
  })
