/** Passwords: which are taken, and how they are kept. The only importer of argon2; called by accounts.ts. */
import { hash, verify } from '@node-rs/argon2'
import { AppError } from '../shared/errors.ts'

/** argon2id parameters [OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane]; 50 ms on the measuring machine. */
export const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

export const MIN_PASSWORD_LENGTH = 12
/** Long enough for any passphrase; bounds the work of hashing. */
export const MAX_PASSWORD_LENGTH = 256
/** Hashes computed at the same time: 4 × 19 MiB. */
export const MAX_CONCURRENT_HASHES = 4
/** Log-ins waiting for a hash; beyond that they are refused. */
export const MAX_WAITING_HASHES = 64

/**
 * Passwords of 12 or more characters that stand in every list of the commonest, and the roots that people stretch to 12.
 * Compared without case, digits and marks at either end.
 */
const COMMON = new Set(
  `password passwordpassword passw0rd letmein letmeinletmein welcome welcomewelcome administrator admin adminadmin
  adminadminadmin changeme changemechangeme changeit qwerty qwertyuiop qwertyqwerty qwertyuiopasdf asdfghjkl qazwsxedc
  qazwsxedcrfv zaqxswcde iloveyou iloveyouiloveyou sunshine princess football baseball superman trustno abcdefghijkl
  abcdefghijklm police policepolice policeofficer sheriff candor candorcandor licenseplate licenceplate secret secretsecret
  default temporary temppassword mypassword newpassword passwordone correcthorsebatterystaple thisisapassword testtesttest
  test guest summer winter spring autumn`.split(/\s+/),
).add('')

/** Throws `bad_input`, saying what to change. */
export function checkPassword(password: string, account: string): void {
  const refuse = (why: string) => {
    throw new AppError('bad_input', `the password ${why}`, {
      hint: `use at least ${MIN_PASSWORD_LENGTH} characters, best some words that nobody would put together`,
    })
  }
  if ([...password].length < MIN_PASSWORD_LENGTH) refuse(`is shorter than ${MIN_PASSWORD_LENGTH} characters`)
  if (password.length > MAX_PASSWORD_LENGTH) refuse(`is longer than ${MAX_PASSWORD_LENGTH} characters`)
  const plain = password.toLowerCase()
  const root = plain.replace(/^[^a-z]+|[^a-z]+$/g, '')
  if (
    plain === account ||
    root === account ||
    plain === account.repeat(Math.ceil(plain.length / account.length)).slice(0, plain.length)
  ) {
    refuse('is made of the account name')
  }
  if (COMMON.has(plain) || COMMON.has(root)) refuse('is one of the commonest')
  if (new Set(plain).size < 4) refuse('repeats too few characters')
}

export interface Passwords {
  hash(password: string): Promise<string>
  /** Takes as long for `stored` null (an unknown account) as for a known one. */
  matches(stored: string | null, password: string): Promise<boolean>
}

/** Throws `unavailable` when too many are waiting. */
export async function createPasswords(newSecret: (byteCount: number) => string): Promise<Passwords> {
  let running = 0
  const waiting: (() => void)[] = []

  async function bounded<T>(work: () => Promise<T>): Promise<T> {
    if (running >= MAX_CONCURRENT_HASHES) {
      if (waiting.length >= MAX_WAITING_HASHES) throw new AppError('unavailable', 'too many log-ins at once')
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else running += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      // A waiting one takes over the place, so that `running` stays as it is.
      if (next !== undefined) next()
      else running -= 1
    }
  }

  /** Compared against when the account is unknown; nobody knows its password. */
  const nobody = await hash(newSecret(32), ARGON2)
  return {
    hash: (password) => bounded(() => hash(password, ARGON2)),
    matches: (stored, password) =>
      bounded(async () => {
        // A longer one was never set; hashing a megabyte would be work for an attacker to order.
        const tried = password.slice(0, MAX_PASSWORD_LENGTH)
        const fits = await verify(stored ?? nobody, tried)
        return fits && stored !== null && password.length <= MAX_PASSWORD_LENGTH
      }),
  }
}
