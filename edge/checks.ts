/**
 * Is this unit fit to be a camera: disk, clock, temperature, its network, its broker, its lists. Each says what to do when not. Called by
 * `candor doctor` and by the set-up page.
 */
import { readdir, readFile, statfs } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { AppError, describeError, toAppError } from '../shared/errors.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { type BrokerCheckOptions, openAndGreet } from './broker-check.ts'

export interface Finding {
  name: string
  /** null: it could not be checked, and `detail` says why. */
  ok: boolean | null
  detail: string
  /** What to do where it is not ok. */
  hint: string | null
  /** The same for machines, where a sentence would have to be taken apart. */
  values?: Record<string, unknown>
}

/** Less free space than this cannot hold a day of the reference city's crops, bytes. */
export const LEAST_FREE_BYTES = 1024 ** 3
/** From here on a Raspberry Pi makes itself slower, °C. */
export const MOST_DEGREES = 80

export async function checkDisk(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(folder)
  const freeBytes = bavail * bsize
  return {
    name: 'disk',
    ok: freeBytes >= LEAST_FREE_BYTES,
    detail: `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free`,
    hint: 'free at least 1 GiB',
  }
}

export async function checkClock(isSynced: () => Promise<boolean>, nowMs: number): Promise<Finding> {
  const ok = await isSynced()
  const shown = `${new Date(nowMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`
  return {
    name: 'clock',
    ok,
    detail: ok ? `synchronised, ${shown}` : `not synchronised, it says ${shown}`,
    hint: 'is there a time server the unit can reach? Until then its sightings are marked',
  }
}

/** The warmest of the machine's sensors. */
export async function checkTemperature(folder = '/sys/class/thermal'): Promise<Finding> {
  const zones = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith('thermal_zone'))
  const read = zones.map(async (zone) => Number(await readFile(join(folder, zone, 'temp'), 'utf8').catch(() => 'none')))
  const degrees = (await Promise.all(read)).filter(Number.isFinite).map((milli) => milli / 1_000)
  if (degrees.length === 0) return { name: 'temperature', ok: true, detail: 'no sensor here', hint: null }
  const most = Math.max(...degrees)
  return {
    name: 'temperature',
    ok: most < MOST_DEGREES,
    detail: `${most.toFixed(0)} °C`,
    hint: `from ${MOST_DEGREES} °C on it slows down: shade, ventilation, a heat sink`,
  }
}

/** Whether it has an address in any network at all. */
export function checkLink(interfaces = networkInterfaces()): Finding {
  const found = Object.entries(interfaces).flatMap(([name, infos]) => {
    const addresses = (infos ?? []).filter(({ internal, address }) => !internal && !address.startsWith('fe80'))
    return addresses.length === 0 ? [] : [`${name} ${addresses[0]?.address}`]
  })
  const ok = found.length > 0
  const hint = 'is the cable in, the modem on, the network’s name and password right?'
  return { name: 'link', ok, detail: ok ? found.join(', ') : 'no address in any network', hint }
}

/** Never throws: what is wrong is the finding. */
export async function checkBroker(options: BrokerCheckOptions): Promise<Finding> {
  try {
    const { isChecked, detail } = await openAndGreet(options)
    const hint = isChecked ? null : 'start the camera and see whether it connects: `candor camera list`'
    return { name: 'broker', ok: isChecked ? true : null, detail, hint }
  } catch (thrown) {
    const { code, message, hint } = toAppError(thrown)
    const what = code === 'unavailable' ? 'is the way to it open? TCP, the port of broker.url' : hint
    return { name: 'broker', ok: false, detail: message, hint: what }
  }
}

/** Which lists the camera holds. */
export function checkLists(dataFolder: string): Finding {
  const none = (detail: string): Finding => ({ name: 'lists', ok: true, detail, hint: null })
  try {
    const database = openDatabase(join(dataFolder, 'lists.db'), { readonly: true })
    try {
      const rows = database.prepare('SELECT list, version, entries FROM hotlist_lists ORDER BY list').all() as {
        list: string
        version: number
        entries: number
      }[]
      if (rows.length === 0) return none('none yet; they come when the camera runs')
      return none(rows.map(({ list, version, entries }) => `${list} v${version}, ${entries} entries`).join('; '))
    } finally {
      database.close()
    }
  } catch (thrown) {
    if (thrown instanceof AppError && (thrown.code === 'internal' || thrown.code === 'storage_full'))
      return { name: 'lists', ok: false, detail: describeError(thrown), hint: null }
    return none('none that can be seen from here; they come when the camera runs')
  }
}
