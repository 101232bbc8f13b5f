/**
 * Starts a child process of ours, from source or built. Called by the door of vision and by the sources in capture/child.ts,
 * whose children hold pictures: hence what the C library is told about memory.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Fewer pools of freed memory. Giving every freed buffer back at once (a fixed M_MMAP_THRESHOLD of mallopt(3)) was measured too: 250
 * instead of 600 MB resident, for three times the processor time.
 */
const MEMORY = { MALLOC_ARENA_MAX: '2' }
/** MiB of V8's young generation: pictures lie outside it, and at its default of 16 the freed ones wait longer. Measured: 90 MB less, as fast. */
const YOUNG_GENERATION = '--max-semi-space-size=2'

/** `module` is the URL of a file without its ending, beside the caller: `new URL('./child', import.meta.url)`. */
export function startChild(module: URL, options: { errors: 'inherit' | 'ignore' }): ChildProcess {
  const fromSource = import.meta.url.endsWith('.ts')
  return fork(`${fileURLToPath(module)}${fromSource ? '.ts' : '.js'}`, [], {
    serialization: 'advanced',
    execArgv: [YOUNG_GENERATION, ...(fromSource ? ['--import', import.meta.resolve('tsx')] : [])],
    env: { ...process.env, ...MEMORY },
    // OpenCV's loader writes to standard output, which belongs to the command that runs us.
    stdio: ['ignore', 'ignore', options.errors, 'ipc'],
  })
}
