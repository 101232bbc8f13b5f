/** The steps of `scripts/hil image` up to the updates: build, flash, enrol, read, match, plug, hang. Each resolves with what was seen. Run by stage.ts. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { copyFile, open, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { BAD, BOOT_MS, CAMERA, type Context, FIRST, GOOD } from './context.ts'
import { growFile } from './machine.ts'
import { awaitReading, awaitShell, edgeStatus, readJson, sure, until } from './unit.ts'

export interface Step {
  name: string
  what: string
  /** It has a card and a unit of its own, and hangs on no step but the first. */
  hasOwnCard?: boolean
  run(context: Context): Promise<string>
}

const CARD_BYTES = 6 * 1024 ** 3
/** A new release must work within this: emulated, a start takes minutes. */
const CONFIRM_WITHIN_SECONDS = '480'
const PICTURES = '/opt/candor/scripts/sample-scenes/pictures'
export const SETTINGS = {
  site: 'on the bench',
  edge: {
    source: { kind: 'replay', path: PICTURES, framesPerSecond: 0.05, loop: true, sequence: 'stills' },
    vision: { threads: 1, frameTimeoutMs: 300_000 },
    track: { repeatWindowMs: 1_000 },
    healthIntervalMs: 3_000,
    assumeClockSynced: true,
  },
}
const seconds = (sinceMs: number) => `${Math.round((performance.now() - sinceMs) / 1_000)} s`

/** As the releases were made, and the good one with a bit changed in its signature or in what is signed. */
export const FORGED = ['signature', 'payload'] as const

async function makeBundlesDisk({ bundlesFolder, bundlesDisk, bundle, folder, run }: Context): Promise<void> {
  rmSync(bundlesFolder, { recursive: true, force: true })
  rmSync(bundlesDisk, { force: true })
  mkdirSync(bundlesFolder)
  for (const version of [GOOD, BAD]) {
    const made = join(folder, 'out', version, basename(bundle(version)))
    // With what `candor release add` reads beside it.
    for (const end of ['', '.json']) renameSync(`${made}${end}`, `${bundle(version)}${end}`)
  }
  for (const what of FORGED) {
    const forged = join(bundlesFolder, `forged-${what}.raucb`)
    await copyFile(bundle(GOOD), forged)
    const { size } = await stat(forged)
    const handle = await open(forged, 'r+')
    const at = what === 'signature' ? size - 600 : 50_000_000
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, at)
    await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at)
    await handle.close()
  }
  await run('bundles-disk', 'mke2fs', ['-q', '-t', 'ext4', '-d', bundlesFolder, bundlesDisk, '2G'])
}

const build: Step = {
  name: 'build',
  what: 'image, and bundles of a good and of a bad release',
  async run(context) {
    const { run, folder } = context
    const common = ['--hil', '--keys', join(folder, 'keys')]
    const made = (version: string, more: string[]) => {
      rmSync(join(folder, 'out', version), { recursive: true, force: true })
      return run(`build-${version}`, './scripts/image', [
        ...common,
        '--version',
        version,
        '--out',
        join(folder, 'out', version),
        ...more,
      ])
    }
    const wasKept = existsSync(join(folder, '..', 'image', 'base.key'))
    const startedMs = performance.now()
    const within = ['--confirm-within', CONFIRM_WITHIN_SECONDS]
    await made(FIRST, within)
    const taken = seconds(startedMs)
    await made(GOOD, ['--bundle-only', ...within])
    // It is not waited for longer than needed: this one never works.
    await made(BAD, ['--bundle-only', '--break-edge', '--confirm-within', '120'])
    await makeBundlesDisk(context)
    return `image in ${taken} (Debian’s packages ${wasKept ? 'kept from before' : 'fetched and set up'}), all three in ${seconds(startedMs)}`
  },
}

const flash: Step = {
  name: 'flash',
  what: 'signature, write, read back, claim and settings; a changed image is refused',
  async run(context) {
    const { folder, world, disk, run } = context
    await context.cutPower()
    rmSync(disk, { force: true })
    writeFileSync(join(folder, 'claim.json'), await world.makeClaim(CAMERA), { mode: 0o600 })
    writeFileSync(join(folder, 'unit.json'), JSON.stringify(SETTINGS))
    const key = join(folder, 'out', FIRST, 'release.pem')
    const options = ['--yes', '--key', key, '--claim', join(folder, 'claim.json'), '--unit', join(folder, 'unit.json')]
    const startedMs = performance.now()
    await run('flash', './scripts/flash', [context.image(), disk, ...options])
    const taken = seconds(startedMs)
    growFile(disk, CARD_BYTES)
    const changed = join(folder, 'changed')
    rmSync(changed, { recursive: true, force: true })
    mkdirSync(changed)
    for (const name of readdirSync(join(folder, 'out', FIRST)))
      await copyFile(join(folder, 'out', FIRST, name), join(changed, name))
    const image = join(changed, context.image().split('/').at(-1) ?? '')
    const bytes = await readFile(image)
    bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 1
    writeFileSync(image, bytes)
    const refusal = await run('flash-changed', './scripts/flash', [image, join(changed, 'card.img'), ...options]).then(
      () => 'taken',
      (error: Error) => error.message,
    )
    rmSync(changed, { recursive: true, force: true })
    if (!refusal.includes('not the file that was signed'))
      throw new Error(`an image with one changed bit was ${refusal}`)
    return `${taken} with reading back; an image with one changed bit is refused`
  },
}

const enrol: Step = {
  name: 'enrol',
  what: 'first start: data partition, request, approval, first read',
  async run(context) {
    const { world } = context
    const machine = await context.switchOn()
    await awaitShell(machine, BOOT_MS)
    const asked = await until('the unit’s request', BOOT_MS, async () => {
      const status = await readJson(machine, '/run/candor-unit/provision.json')
      return status?.state === 'pending' ? (status.fingerprint as string) : null
    })
    const askedAfter = seconds(machine.startedMs)
    await world.approve(CAMERA, asked)
    await awaitReading(machine, BOOT_MS)
    const readAfter = seconds(machine.startedMs)
    await until('a sighting in the cloud', BOOT_MS, async () => world.held(CAMERA).length > 0)
    const left = await sure(
      machine,
      'mkdir -p /run/look && mount -o ro /dev/disk/by-partlabel/CANDOR /run/look && ls /run/look/candor && umount /run/look',
    )
    if (left.includes('claim.json')) throw new Error('the claim is still on the card')
    const open = await sure(machine, "ss -H -tlnup | grep -v 'systemd-network\\|systemd-timesyn' || true")
    if (open.trim() !== '') throw new Error(`something listens: ${open.trim()}`)
    return `asked after ${askedAfter}, first read after ${readAfter} from power on; the claim is gone from the card; no port listens`
  },
}

const boot: Step = {
  name: 'boot',
  what: 'a further start, to the first read',
  async run(context) {
    await context.switchOff()
    const machine = await context.switchOn()
    await awaitShell(machine, BOOT_MS)
    await awaitReading(machine, BOOT_MS)
    const taken = seconds(machine.startedMs)
    const state = JSON.parse(await sure(machine, '/usr/lib/candor/slots show')) as { machineId: string; next: string }
    const id = (await sure(machine, 'cat /etc/machine-id')).trim()
    if (state.machineId !== id) throw new Error('the machine has another id at each start')
    const failed = (await sure(machine, 'systemctl --failed --no-legend --plain')).trim()
    if (failed !== '') throw new Error(`failed units: ${failed}`)
    const { output } = await machine.shell('candor doctor', 280_000)
    const bad = output.split('\n').filter((line) => line.startsWith('BAD'))
    const ok = output.split('\n').filter((line) => line.startsWith('ok')).length
    return `${taken} from power on; doctor: ${ok} ok, ${bad.length} bad${bad.length === 0 ? '' : ` (${bad.join('; ')})`}`
  },
}

const match: Step = {
  name: 'match',
  what: 'a hotlist reaches the unit, and the unit itself matches',
  async run(context) {
    const { world, checkout } = context
    const machine = await context.unit()
    const csv = await readFile(join(checkout, 'scripts/sample-scenes/hotlist.csv'), 'utf8')
    const startedMs = performance.now()
    await world.importList('stolen', csv)
    await until('the list on the unit', BOOT_MS, async () =>
      (await edgeStatus(machine))?.hotlists?.some(({ list }) => list === 'stolen'),
    )
    const received = seconds(startedMs)
    await until('a match by the unit', BOOT_MS, async () =>
      world.held(CAMERA).some(({ matchedByUnit }) => matchedByUnit === 1),
    )
    const plates = new Set(world.held(CAMERA).map(({ plate }) => plate))
    return `on the unit after ${received}; ${plates.size} plates read on arm64, matches come with their sightings`
  },
}

const plug: Step = {
  name: 'plug',
  what: 'a camera on USB comes, is listed by the real libgphoto2, and goes',
  async run(context) {
    const machine = await context.unit()
    const root = join(context.folder, 'photos')
    mkdirSync(root, { recursive: true })
    await copyFile(join(context.checkout, 'scripts/sample-scenes/pictures/scene-001.jpg'), join(root, 'scene-001.jpg'))
    const list = `cd /opt/candor && OPENCV4NODEJS_DISABLE_AUTOBUILD=1 node -e "const {GPhoto2} = require('node-gphoto2'); new GPhoto2().list((found) => { console.log('cameras', found.length, found.map((one) => one.model + ' ' + one.port).join()); process.exit(0) })"`
    const cameras = async () => Number(/cameras (\d+)/.exec(await sure(machine, list, 120_000))?.[1] ?? -1)
    if ((await cameras()) !== 0) throw new Error('a camera is there before it is plugged in')
    await machine.qmp('device_add', { driver: 'usb-mtp', id: 'camera', bus: 'usb.0', rootdir: root, desc: 'bench' })
    const startedMs = performance.now()
    await until('the camera', 180_000, async () => (await cameras()) === 1)
    const taken = seconds(startedMs)
    const found = (await sure(machine, list, 120_000)).match(/cameras.*/)?.[0]
    const access = await sure(machine, "ls -l /dev/bus/usb/*/* | awk '{print $1, $4}' | sort | uniq -c")
    await machine.qmp('device_del', { id: 'camera' })
    await until('the camera’s end', 180_000, async () => (await cameras()) === 0)
    return `${found} after ${taken}; gone when unplugged; devices ${access.trim().replace(/\s+/g, ' ')}. QEMU's MTP device takes no pictures: capturing is tried by ./scripts/hil ci`
  },
}

const hang: Step = {
  name: 'hang',
  what: 'the edge process hangs, and systemd’s watchdog starts it again',
  async run(context) {
    const machine = await context.unit()
    const pid = async () => Number(await sure(machine, 'systemctl show -P MainPID candor-edge'))
    const before = await pid()
    await sure(machine, `kill -STOP ${before}`)
    const startedMs = performance.now()
    await until('another process', BOOT_MS, async () => ![0, before].includes(await pid()))
    const taken = seconds(startedMs)
    await sure(machine, 'rm -f /run/candor-edge/status.json')
    await awaitReading(machine, BOOT_MS)
    return `started again after ${taken}, reading after ${seconds(startedMs)}`
  },
}

export const FIRST_STEPS: readonly Step[] = [build, flash, enrol, boot, match, plug, hang]
