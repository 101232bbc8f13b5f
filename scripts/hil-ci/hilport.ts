/** Builds hilport.c, which makes libgphoto2 see PTP/IP cameras of this machine. */
import { execFile } from 'node:child_process'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SOURCE = fileURLToPath(new URL('./hilport.c', import.meta.url))

/**
 * Into `folder`; returns what a process's environment must hold to see the cameras at `addresses` and no other. Of libgphoto2's drivers
 * for cameras it loads the one that is needed, and not forty at each start.
 */
export async function buildHilport(folder: string, addresses: readonly string[]): Promise<Record<string, string>> {
  await mkdir(folder, { recursive: true })
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
  const drivers = join(folder, 'drivers')
  await mkdir(drivers, { recursive: true })
  const { stdout } = await promisify(execFile)('pkg-config', ['--variable=driverdir', 'libgphoto2'])
  await symlink(join(stdout.trim(), 'ptp2.so'), join(drivers, 'ptp2.so'))
  return { IOLIBS: folder, CAMLIBS: drivers, CANDOR_PTPIP: addresses.join(' ') }
}
