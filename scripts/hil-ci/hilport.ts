/** Builds hilport.c, which makes libgphoto2 see PTP/IP cameras of this machine. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SOURCE = fileURLToPath(new URL('./hilport.c', import.meta.url))

/** Into `folder`; returns what a process's environment must hold to see the cameras at `addresses` and no other. */
export async function buildHilport(folder: string, addresses: readonly string[]): Promise<Record<string, string>> {
  // By the compiler and the headers with which ./scripts/setup builds node-gphoto2.
  await promisify(execFile)('gcc', [
    '-shared',
    '-fPIC',
    '-O1',
    SOURCE,
    '-o',
    join(folder, 'hilport.so'),
    '-lgphoto2_port',
  ])
  return { IOLIBS: folder, CANDOR_PTPIP: addresses.join(' ') }
}
