/** `candor enrol`: on the camera unit itself, with a claim that `candor camera claim` has made; a unit that is that camera already is enrolled again. `candor prepare`, by candor-prepare.service: what was cut is finished. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { EnrolDeps } from '../../edge/enrolment/enrol.ts'
import { chosenSettings } from './options.ts'

interface Options {
  claim: string
  out: string
  cloud?: string
  ca?: string
  caSha256?: string
  broker?: string
  frames: string
}

export function register(program: Command): void {
  registerPrepare(program)
  program
    .command('enrol')
    .description('on a camera unit: become the camera that a claim was made for')
    .requiredOption(
      '--claim <file>',
      'the file of `camera claim --out`, a file that holds the code, or the code itself',
    )
    .requiredOption(
      '--out <folder>',
      'folder for its key, certificates and edge.json; run again, it goes on with the key there; a camera there gets a new certificate',
    )
    .option('--cloud <url>', 'with a code: https://HOST:PORT of the cloud')
    .option('--ca <file>', 'with a code: certificate of the cloud’s authority')
    .option('--ca-sha256 <hex>', 'with a code: or the SHA-256 of that certificate, as `camera claim` shows it')
    .option('--broker <url>', 'mqtts://HOST:PORT as the camera reaches it (default: the host of the cloud)')
    .option('--frames <path>', 'folder of pictures or video file that the camera reads, for edge.json', 'frames')
    .action(async (options: Options) => {
      const { enrolUnit } = await import('../../edge/enrolment/enrol.ts')
      const { systemClock } = await import('../../shared/clock.ts')
      const { random } = await import('../../shared/ids.ts')
      const { time } = await import('./terminal.ts')
      const say = (line: string) => process.stderr.write(`${line}\n`)
      let pending = false
      const deps: EnrolDeps = {
        clock: systemClock,
        random,
        onKey: (fingerprint) => say(`This unit’s key: ${fingerprint}`),
        onPending(name) {
          if (!pending) say(`Waiting until ${name} is approved: candor camera approve ${name} --fingerprint …`)
          pending = true
        },
        onTrouble: (problem, retryInMs) => say(`${problem}; again in ${Math.ceil(retryInMs / 1_000)} s`),
        onClockOff: (offMs) =>
          say(
            `This unit’s clock is ${Math.round(Math.abs(offMs) / 60_000)} minutes ${offMs > 0 ? 'ahead of' : 'behind'} the cloud’s. ` +
              'Enrolment goes by the cloud’s; sightings are marked until the clock is synchronised.',
          ),
      }
      const { finishAgain, folderBehind, enrolAgain } = await import('../../edge/enrolment/again.ts')
      const { isWaiting, MARK_FILE } = await import('../../edge/setup/draft.ts')
      const claim = await claimOf(options)
      const signal = new AbortController().signal
      // A link must go on leading to the folder.
      const folder = await folderBehind(options.out)
      await finishAgain(folder)
      if (existsSync(join(folder, 'edge.json'))) {
        const { AppError } = await import('../../shared/errors.ts')
        if (await isWaiting(folder))
          throw new AppError('conflict', 'the set-up page of this unit may be open', {
            hint: 'finish the set-up first',
          })
        const { camera, expiresAtMs } = await enrolAgain(
          { claim, folder, settings: chosenSettings(options) },
          deps,
          signal,
        )
        process.stdout.write(
          `${camera}: enrolled again, certificate until ${time(expiresAtMs)}. Start it anew: systemctl restart candor-edge\n`,
        )
        return
      }
      const { camera, expiresAtMs } = await enrolUnit(
        { claim, folder, settings: chosenSettings(options) },
        deps,
        signal,
      )
      // The set-up page may have been opened for this and not finished: the unit is a camera now, and need not wait for it.
      const { removeIfThere } = await import('../../shared/secret-file.ts')
      await removeIfThere(join(folder, MARK_FILE))
      process.stdout.write(
        `${camera}: certificate until ${time(expiresAtMs)}. Start it:\n  candor edge --config ${options.out}/edge.json\n`,
      )
    })
}

function registerPrepare(program: Command): void {
  program
    .command('prepare')
    .description('before the cameras of this machine start: finish what a power cut has left of an enrolment')
    .option('--folder <folder>', 'of the camera, or of the folders of several', '/etc/candor-edge')
    .action(async ({ folder }: { folder: string }) => {
      const { finishAllAgain, folderBehind } = await import('../../edge/enrolment/again.ts')
      await finishAllAgain(await folderBehind(folder))
    })
}

/** Throws `bad_input` for a code without a cloud and an authority to trust. */
async function claimOf(options: Options) {
  const { readFileSync } = await import('node:fs')
  const { AppError } = await import('../../shared/errors.ts')
  const { claimText, readClaim } = await import('../../edge/enrolment/enrol.ts')
  const claim = readClaim(claimText(options.claim))
  if ('file' in claim) return claim.file
  const { cloud, ca, caSha256 } = options
  if (cloud === undefined || !URL.canParse(cloud) || new URL(cloud).protocol !== 'https:')
    throw new AppError('bad_input', 'with a code, --cloud https://HOST:PORT is needed')
  if (caSha256 !== undefined && !/^([0-9a-f]{2}:?){32}$/i.test(caSha256))
    throw new AppError('bad_input', '--ca-sha256: 64 hexadecimal digits are needed')
  if (ca === undefined && caSha256 === undefined)
    throw new AppError('bad_input', 'with a code, --ca or --ca-sha256 is needed', {
      hint: 'a unit trusts no cloud but the one that is named to it',
    })
  const trust = ca !== undefined ? { caPem: readFileSync(ca, 'utf8') } : { caSha256: caSha256 ?? '' }
  return { code: claim.code, address: { url: cloud, trust, notBeforeMs: null }, expected: null }
}
