/** A step of `scripts/hil image`: a unit with a key store, whose data partition is of use with that alone. Run by stage.ts. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../shared/errors.ts'
import { BOOT_MS, type Context, FIRST } from './context.ts'
import { growFile, type Machine, startMachine } from './machine.ts'
import type { Step } from './steps.ts'
import { awaitShell, readJson, sure, until } from './unit.ts'

const CARD_BYTES = 5 * 1024 ** 3
const TPM_DISK_BYTES = 32 * 1024 ** 2
const MARK = 'a sentence that nobody may find on the card'
/** Cuts while the partition is made, before it is let be. */
const CUTS_WHILE_MADE = 3

async function holds(file: string, text: string): Promise<boolean> {
  const wanted = Buffer.from(text)
  const handle = await open(file, 'r')
  const chunk = Buffer.alloc(16 * 1024 ** 2)
  try {
    for (let at = 0; ; at += chunk.length - wanted.length) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at)
      if (chunk.subarray(0, bytesRead).includes(wanted)) return true
      if (bytesRead < chunk.length) return false
    }
  } finally {
    await handle.close()
  }
}

async function run(context: Context): Promise<string> {
  await context.switchOff()
  const disk = join(context.folder, 'sealed.img')
  const tpmDisk = join(context.folder, 'tpm.img')
  for (const file of [disk, tpmDisk]) rmSync(file, { force: true })
  const key = join(context.folder, 'out', FIRST, 'release.pem')
  await context.run('flash-sealed', './scripts/flash', [context.image(), disk, '--yes', '--key', key])
  growFile(disk, CARD_BYTES)
  growFile(tpmDisk, TPM_DISK_BYTES)
  if (spawnSync('mke2fs', ['-q', '-t', 'ext4', tpmDisk]).status !== 0)
    throw new AppError('internal', 'no disk for the TPM')
  const start = (tpm: string | null): Promise<Machine> =>
    startMachine({
      folder: join(context.folder, 'sealed'),
      disk,
      firmware: context.firmware,
      tpmDisk: tpm,
      bundlesDisk: null,
    })

  const cutAt: string[] = []
  for (let cut = 0; cut < CUTS_WHILE_MADE; cut++) {
    const machine = await start(tpmDisk)
    await until('the making of the partition', BOOT_MS, async () => machine.console().includes('data partition...'))
    await sleep(1_000 + Math.random() * 20_000)
    cutAt.push(machine.console().includes('Finished [0;1;39mcandor-data') ? 'after' : 'while')
    await machine.cutPower()
  }
  let machine = await start(tpmDisk)
  try {
    const isMounted = async () => (await machine.shell('mountpoint -q /var')).code === 0
    await awaitShell(machine, BOOT_MS)
    await until('the data partition', BOOT_MS, isMounted)
    const data = await readJson(machine, '/run/candor-unit/data.json')
    if (data?.encrypted !== true) throw new AppError('internal', 'the data partition is not encrypted')
    const kind = (
      await sure(
        machine,
        'lsblk -n -o TYPE,FSTYPE /dev/vda5; cryptsetup luksDump /dev/vda5 | grep -E "Version|systemd-tpm2|Keyslots|PBKDF" | head -6',
      )
    ).replace(/\s+/g, ' ')
    await sure(machine, `echo '${MARK}' >/var/mark && sync`)
    await machine.powerOff()

    machine = await start(tpmDisk)
    await awaitShell(machine, BOOT_MS)
    await until('the data partition', BOOT_MS, isMounted)
    if ((await sure(machine, 'cat /var/mark')).trim() !== MARK)
      throw new AppError('internal', 'the data is not there at the next start')
    await machine.powerOff()
    if (await holds(disk, MARK)) throw new AppError('integrity', 'what was written stands on the card in the clear')

    machine = await start(null)
    const refused = await until(
      'the refusal',
      BOOT_MS,
      async () => /Failed to start .*candor-dat/.exec(machine.console())?.[0],
    )
    await machine.cutPower()
    rmSync(disk, { force: true })
    return `three cuts while it was made (${cutAt.join(', ')}); then ${kind}; opens at the next start; the card alone does not (${refused.replace(/[^\x20-\x7e]|\[[0-9;]*m/g, '').slice(0, 60)}); what was written is not in its bytes. The key store is swtpm in the unit, see scripts/unit-image/stage.sh`
  } finally {
    await machine.cutPower()
  }
}

export const SEALED_STEPS: readonly Step[] = [
  {
    name: 'sealed',
    hasOwnCard: true,
    what: 'a unit with a TPM 2.0: the data partition is sealed to it, also when the power goes while it is made',
    run,
  },
]
