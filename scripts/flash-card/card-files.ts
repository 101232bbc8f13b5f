/** The files for the FAT partition of a card, from the options of `scripts/flash`. Used by flash.ts, before anything is asked or written. */
import { readFileSync } from 'node:fs'
import { readClaim } from '../../edge/enrolment/enrol.ts'
import { newCode } from '../../edge/setup/access.ts'
import { newPageCertificate } from '../../edge/setup/certificate.ts'
import { codeFileText, UNIT_HOST_NAME } from '../../edge/setup/code-file.ts'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { newSecret } from '../../shared/ids.ts'
import { CLAIM_FILE, LOGIN_FILE, NETWORK_FILE, SETUP_CODE_FILE, UNIT_FILE } from '../unit/card.ts'
import { type Network, parseNetwork } from '../unit/network.ts'
import { lacksLogin, namesLogin, parseLogin, parseUnit, type UnitFile } from '../unit/unit-file.ts'

export interface CardOptions {
  claim?: string
  unit?: string
  network?: string
  cameraLogin?: string
  wifi?: string
  wifiPassphraseFile?: string
  wifiCountry?: string
  setUp?: boolean
}

/** Throws `bad_input` when the two do not go together. */
function checkLogin(unit: UnitFile | null, login: string | null): void {
  const lacking = unit === null ? null : lacksLogin(unit, login !== null)
  if (lacking !== null) throw new AppError('bad_input', lacking, { hint: 'give its file with --camera-login' })
  if (login !== null && (unit === null || !namesLogin(unit))) {
    throw new AppError('bad_input', `no source in ${UNIT_FILE} uses the log-in of --camera-login`, {
      hint: `add to its source: "credentialsFile": "${LOGIN_FILE}"; where the set-up page chooses the camera, the log-in is typed there`,
    })
  }
}

/** What goes onto the FAT partition, checked as the unit checks it. Throws before anything is written. */
export function cardFiles(options: CardOptions): Map<string, string> {
  const files = new Map<string, string>()
  const text = (file: string) => {
    try {
      return readFileSync(file, 'utf8')
    } catch (cause) {
      throw new AppError('bad_input', `${file} cannot be read`, { cause })
    }
  }
  if (options.claim !== undefined) {
    const claim = text(options.claim)
    if (!('file' in readClaim(claim)))
      throw new AppError('bad_input', `${options.claim} holds a code alone`, {
        hint: 'take the file of `candor camera claim NAME --out FILE`',
      })
    files.set(CLAIM_FILE, claim)
  }
  const login = options.cameraLogin === undefined ? null : parseLogin(text(options.cameraLogin))
  if (login !== null) files.set(LOGIN_FILE, login)
  const unit = options.unit === undefined ? null : text(options.unit)
  if (unit !== null) files.set(UNIT_FILE, unit)
  checkLogin(unit === null ? null : parseUnit(unit), login)
  if (options.setUp === true) {
    const names = ['localhost', UNIT_HOST_NAME, `${UNIT_HOST_NAME}.local`]
    const certificate = newPageCertificate(names, systemClock.nowMs())
    files.set(SETUP_CODE_FILE, codeFileText({ code: newCode(newSecret), certificate }))
  }
  const network: Partial<Network> = options.network === undefined ? {} : parseNetwork(text(options.network))
  if (options.wifi !== undefined) {
    if (options.wifiPassphraseFile === undefined || options.wifiCountry === undefined)
      throw new AppError('bad_input', '--wifi needs --wifi-passphrase-file and --wifi-country')
    network.wifi = {
      ssid: options.wifi,
      passphrase: text(options.wifiPassphraseFile).replace(/\r?\n$/, ''),
      country: options.wifiCountry,
    }
  }
  if (Object.keys(network).length > 0) {
    const written = JSON.stringify(network)
    parseNetwork(written)
    files.set(NETWORK_FILE, written)
  }
  return files
}
