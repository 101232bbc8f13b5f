/** Runs one of scripts/train, with Debian's own Python: another one lacks its packages. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AppError } from '../../../shared/errors.ts'

const PYTHON = '/usr/bin/python3'
const TRAIN = new URL('../../train/', import.meta.url)

/** What the script prints; its errors and progress are shown. Throws `configuration` when it fails. */
export async function runTraining(script: string, options: readonly string[], hint: string): Promise<string> {
  const running = spawn(PYTHON, [fileURLToPath(new URL(script, TRAIN)), ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, OMP_NUM_THREADS: '1', PYTHONWARNINGS: 'ignore' },
  })
  let printed = ''
  running.stdout.setEncoding('utf8').on('data', (part: string) => {
    printed += part
  })
  const exitCode = await new Promise<number | null>((resolve) => {
    running.once('error', () => resolve(null))
    running.once('close', resolve)
  })
  if (exitCode !== 0) throw new AppError('configuration', `scripts/train/${script} failed`, { hint })
  return printed
}
