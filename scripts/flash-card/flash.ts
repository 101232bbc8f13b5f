/** `scripts/flash IMAGE DEVICE|FILE`: a card that becomes the camera a claim was made for. Checks, asks, writes, reads back, adds the unit's files. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command, CommanderError } from 'commander'
import { shownCode } from '../../edge/setup/access.ts'
import { parseCodeFile } from '../../edge/setup/code-file.ts'
import { systemClock } from '../../shared/clock.ts'
import { AppError, describeError, EXIT } from '../../shared/errors.ts'
import { createProgress } from '../candor/progress.ts'
import { CARD_FOLDER, CLAIM_FILE, SETUP_CODE_FILE, UNIT_FILE } from '../unit/card.ts'
import { outboxBytes, parseUnit } from '../unit/unit-file.ts'
import { parseBlockMap } from './block-map.ts'
import { type CardOptions, cardFiles } from './card-files.ts'
import { partitionOffset } from './partitions.ts'
import { putImage } from './put-image.ts'
import { checkSum, readSignedSums } from './release.ts'
import { checkTarget, dataBytesNeeded, runningSystem, type Target } from './target.ts'

const KEY = fileURLToPath(new URL('../../.candor/release-keys/release.pem', import.meta.url))
const CARD_PARTITION = 'CANDOR'

interface Options extends CardOptions {
  key?: string
  yes?: boolean
}

const say = (line: string) => process.stderr.write(`${line}\n`)
const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`

/** Everything that an old card holds is forgotten by the card itself, where it can. */
function discard(target: Target): void {
  if (!target.isDevice) return
  const { status } = spawnSync('blkdiscard', ['-f', target.path], { stdio: 'ignore', timeout: 120_000 })
  if (status === 0) return
  say(
    '    this card or its reader cannot forget at once what it held: the image goes over it, and what an old unit would start or open is cleared',
  )
  say('    what else an old unit without a TPM has kept can still be found on it by who looks for it block by block')
}

async function confirm(target: Target): Promise<void> {
  if (!process.stdin.isTTY)
    throw new AppError('bad_input', 'nobody can be asked here', { hint: 'add --yes if this is the right card' })
  const ask = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await ask.question(
    `Everything on ${target.path} (${target.description}) will be lost. Type yes to go on: `,
  )
  ask.close()
  if (answer.trim() !== 'yes') throw new AppError('conflict', 'nothing was written')
}

async function putFiles(target: Target, offset: number, files: ReadonlyMap<string, string>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-card-'))
  try {
    for (const [name, content] of files) {
      writeFileSync(join(folder, name), content, { mode: 0o600 })
      await promisify(execFile)('mcopy', [
        '-o',
        '-i',
        `${target.path}@@${offset}`,
        join(folder, name),
        `::/${CARD_FOLDER}/${name}`,
      ])
    }
  } catch (thrown) {
    const isMissing = thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT'
    throw new AppError(
      'unavailable',
      isMissing ? 'mcopy is missing' : `the unit's files cannot be written: ${describeError(thrown)}`,
      {
        hint: 'install it as root: apt-get install mtools',
        cause: thrown,
      },
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function flash(image: string, path: string, options: Options): Promise<void> {
  const progress = createProgress(process.stderr, systemClock)
  const startedMs = systemClock.monotonicMs()
  const seconds = (sinceMs: number) => `${((systemClock.monotonicMs() - sinceMs) / 1_000).toFixed(1)} s`
  const files = cardFiles(options)
  const key = options.key ?? KEY
  if (!existsSync(key))
    throw new AppError('bad_input', 'no public key to check the image with', {
      hint: 'name the public key of who made the image with --key',
    })
  const mapFile = `${image.replace(/\.zst$/, '')}.bmap`
  const sums = readSignedSums(image, key)
  await checkSum(mapFile, sums, () => {})
  const map = parseBlockMap(readFileSync(mapFile, 'utf8'))
  const { size } = statSync(image)
  await checkSum(image, sums, (bytes) => progress.show('checking', bytes, size, mb(size)))
  progress.stop()
  const checkedMs = systemClock.monotonicMs()
  say(`==> the image is the one that was signed, ${seconds(startedMs)}`)
  const unit = parseUnit(files.get(UNIT_FILE) ?? '{"edge": {}}')
  // A bundle is the same root, packed alike.
  const dataBytes = dataBytesNeeded({ bundleBytes: size, outboxBytes: outboxBytes(unit) })
  const target = checkTarget(path, { imageBytes: map.imageBytes, dataBytes }, runningSystem())
  if (target.isDevice && options.yes !== true) await confirm(target)

  const writeFromMs = systemClock.monotonicMs()
  discard(target)
  const file = await open(path, target.isDevice ? 'r+' : 'w+', 0o600)
  try {
    if (!target.isDevice) await file.truncate(map.imageBytes)
    const unpack = spawn('zstd', ['-q', '-d', '-c', image], { stdio: ['ignore', 'pipe', 'inherit'] })
    const failed = new Promise<never>((_, reject) =>
      unpack.once('error', () =>
        reject(new AppError('unavailable', 'zstd is missing', { hint: 'install it as root: apt-get install zstd' })),
      ),
    )
    let readFromMs = writeFromMs
    const put = putImage(unpack.stdout, map, file, {
      diskBytes: target.isDevice ? target.bytes : map.imageBytes,
      onWritten: (bytes) => progress.show('writing', bytes, map.mappedBytes, mb(map.mappedBytes)),
      async onAllWritten(clearedBytes) {
        progress.stop()
        const all = `${mb(map.mappedBytes)} of ${mb(map.imageBytes)}, and ${mb(clearedBytes)} cleared`
        readFromMs = systemClock.monotonicMs()
        say(`==> written, ${all}, ${seconds(writeFromMs)}`)
        // What was written is still in memory; the card itself is to be asked.
        if (target.isDevice) spawnSync('blockdev', ['--flushbufs', path], { stdio: 'ignore' })
      },
      onRead: (bytes) => progress.show('reading back', bytes, map.mappedBytes, mb(map.mappedBytes)),
    })
    await Promise.race([put, failed])
    progress.stop()
    say(`==> read back and right, ${seconds(readFromMs)}`)
    await putFiles(target, await partitionOffset(file, CARD_PARTITION), files)
    await file.sync()
  } finally {
    await file.close()
  }
  const names = [...files.keys()]
  const page = parseCodeFile(files.get(SETUP_CODE_FILE) ?? '')
  const isWhole = files.has(CLAIM_FILE) && unit.edge.source !== undefined
  say(`==> for the unit: ${names.length === 0 ? 'nothing' : names.join(', ')}`)
  if (page != null) {
    say(`==> code of its set-up page, good for one log-in: ${shownCode(page.code)}`)
    say(`==> certificate of that page, SHA-256 ${page.certificate?.fingerprint}`)
    say('    keep both: the page is the unit’s only where the browser shows this certificate')
  } else if (!isWhole)
    say('==> it opens its set-up page, since the card does not say all; the code is shown on its screen')
  say(`==> ready, ${seconds(startedMs)} (checked ${((checkedMs - startedMs) / 1_000).toFixed(1)} s)`)
}

const program = new Command('scripts/flash')
  .description(
    'write the image of a camera unit to a card, check it, and put the unit’s claim, settings and network beside it',
  )
  .argument('<image>', 'candor-unit-VERSION-arm64.img.zst, with .bmap, SHA256SUMS and SHA256SUMS.sig beside it')
  .argument('<target>', 'the card (/dev/sdX, /dev/mmcblk0) or a file')
  .option('--claim <file>', 'of `candor camera claim NAME --out FILE`')
  .option('--unit <file>', 'what it is: {"site": "…", "edge": {"source": {…}}}')
  .option(
    '--camera-login <file>',
    'user:password of its camera, which unit.json names: "credentialsFile": "camera-login"',
  )
  .option('--network <file>', 'address, gateway, dns, ntp; without it DHCP by wire')
  .option('--wifi <ssid>', 'a wireless network')
  .option('--wifi-passphrase-file <file>', 'its passphrase')
  .option('--wifi-country <code>', 'whose radio rules hold, such as US')
  .option('--set-up', 'the unit opens its set-up page, with a code that is shown here')
  .option('--key <file>', 'public key of who made the image (default: the one of scripts/image here)')
  .option('--yes', 'do not ask')
  .exitOverride()
  .action(flash)

try {
  await program.parseAsync(process.argv)
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? EXIT.done : EXIT.usage
  else {
    process.stderr.write(`flash: ${describeError(thrown)}\n`)
    process.exitCode = EXIT.failed
  }
}
