/**
 * Security keys and passkeys (WebAuthn) as a second factor: registered and asked by a challenge that is used once, for one
 * origin. The only importer of @simplewebauthn/server; called by factors.ts. Writes security_keys, which accounts.ts owns.
 */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import {
  type AuthenticationResponseJSON,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server'
import { type Clock, MINUTE_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Database } from '../database/database.ts'
import type { SecurityKeysTable } from '../database/schema-factors.ts'
import { createPending } from './pending.ts'

export const MAX_KEYS_PER_ACCOUNT = 10
/** From the question to the touch of the key. */
export const KEY_CHALLENGE_MS = 2 * MINUTE_MS
/** 256 bits. [WebAuthn Level 3, 13.4.3: at least 16 bytes] */
const CHALLENGE_BYTES = 32
/** Challenges that wait, one an account. */
const MAX_CHALLENGES = 10_000

export interface SecurityKey {
  name: string
  addedAtMs: number
  usedAtMs: number | null
}

/** What browser and server exchange is the standard's own JSON; only the package looks inside. */
export type KeyDocument = Record<string, unknown>

export interface SecurityKeysDeps {
  database: Database
  clock: Clock
  newSecret: (byteCount: number) => string
  agency: string
  /** As browsers reach the page, `https://HOST:PORT`. */
  pageOrigin: () => string
}

export type SecurityKeys = ReturnType<typeof createSecurityKeys>

export function createSecurityKeys({ database, clock, newSecret, agency, pageOrigin }: SecurityKeysDeps) {
  const { build } = database
  const registering = createPending<string>(clock, KEY_CHALLENGE_MS, MAX_CHALLENGES)
  const asking = createPending<string>(clock, KEY_CHALLENGE_MS, MAX_CHALLENGES)

  /** The name that keys are bound to. Throws `configuration` where the page has only an address: browsers make no keys there. */
  function relyingParty(): { id: string; origin: string } {
    const { hostname, origin } = new URL(pageOrigin())
    if (isIP(hostname.replace(/^\[|\]$/g, '')) === 0) return { id: hostname, origin }
    throw new AppError('configuration', 'security keys need a page with a name, not a bare address', {
      hint: 'put a host name first in `hostnames`, or set `pageOrigin`',
    })
  }

  function rows(account: string): Promise<SecurityKeysTable[]> {
    return database.read(build.selectFrom('security_keys').selectAll().where('account', '=', account).orderBy('name'))
  }

  const descriptor = (row: SecurityKeysTable) => ({
    id: row.credential_id,
    transports: JSON.parse(row.transports) as string[],
  })

  const newChallenge = () => Buffer.from(newSecret(CHALLENGE_BYTES), 'base64url')

  return {
    async list(account: string): Promise<SecurityKey[]> {
      return (await rows(account)).map(({ name, added_at_ms, used_at_ms }) => ({
        name,
        addedAtMs: added_at_ms,
        usedAtMs: used_at_ms,
      }))
    },

    /** For `navigator.credentials.create`. Throws `too_large`. */
    async startRegistering(account: string): Promise<KeyDocument> {
      const known = await rows(account)
      if (known.length >= MAX_KEYS_PER_ACCOUNT) {
        throw new AppError('too_large', `an account may have ${MAX_KEYS_PER_ACCOUNT} security keys`, {
          hint: 'remove one that is no longer used',
        })
      }
      const options = await generateRegistrationOptions({
        rpName: `Candor ${agency}`,
        rpID: relyingParty().id,
        userName: account,
        userDisplayName: account,
        // Says nothing of the person, and is the same each time [WebAuthn Level 3, 14.6.1].
        userID: new Uint8Array(createHash('sha256').update(`${agency}/${account}`).digest()),
        challenge: newChallenge(),
        timeout: KEY_CHALLENGE_MS,
        excludeCredentials: known.map(descriptor),
        // The password has been asked already: a touch is enough.
        authenticatorSelection: { residentKey: 'discouraged', userVerification: 'discouraged' },
      })
      registering.put(account, options.challenge)
      return { ...options }
    },

    /** Throws `bad_input` for what is no answer to the challenge, `conflict` for a name or key that is there. */
    async register(account: string, name: string, response: KeyDocument): Promise<void> {
      const expectedChallenge = registering.take(account)
      if (expectedChallenge === null) throw new AppError('conflict', 'no key was asked for, or too long ago')
      const { id, origin } = relyingParty()
      const verified = await verifyRegistrationResponse({
        response: response as unknown as RegistrationResponseJSON,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: id,
        requireUserVerification: false,
      }).catch((cause: unknown) => {
        throw new AppError('bad_input', 'this is no answer of a security key to what was asked', { cause })
      })
      if (!verified.verified) throw new AppError('bad_input', 'the answer of the security key does not verify')
      const { credential } = verified.registrationInfo
      const [result] = await database.writeBatch([
        build
          .insertInto('security_keys')
          .values({
            credential_id: credential.id,
            account,
            name,
            public_key: Buffer.from(credential.publicKey),
            counter: credential.counter,
            transports: JSON.stringify((credential.transports ?? []).slice(0, 8)),
            added_at_ms: clock.nowMs(),
            used_at_ms: null,
          })
          .onConflict((conflict) => conflict.doNothing()),
      ])
      if (result?.changes !== 1) throw new AppError('conflict', `there is a key ${name}, or this key, already`)
    },

    /** For `navigator.credentials.get`; null: the account has no key. */
    async startAsking(account: string): Promise<KeyDocument | null> {
      const known = await rows(account)
      if (known.length === 0) return null
      const options = await generateAuthenticationOptions({
        rpID: relyingParty().id,
        challenge: newChallenge(),
        timeout: KEY_CHALLENGE_MS,
        allowCredentials: known.map(descriptor),
        userVerification: 'discouraged',
      })
      asking.put(account, options.challenge)
      return { ...options }
    },

    /** Was the challenge answered by a key of this account, for our origin, with a counter that went on? */
    async check(account: string, response: KeyDocument): Promise<boolean> {
      const expectedChallenge = asking.take(account)
      const row = (await rows(account)).find((one) => one.credential_id === response.id)
      if (expectedChallenge === null || row === undefined) return false
      const { id, origin } = relyingParty()
      const verified = await verifyAuthenticationResponse({
        response: response as unknown as AuthenticationResponseJSON,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: id,
        requireUserVerification: false,
        credential: {
          id: row.credential_id,
          publicKey: new Uint8Array(row.public_key),
          counter: row.counter,
          transports: JSON.parse(row.transports) as string[],
        },
      }).catch(() => null)
      if (verified?.verified !== true) return false
      const [result] = await database.writeBatch([
        build
          .updateTable('security_keys')
          .set({ counter: verified.authenticationInfo.newCounter, used_at_ms: clock.nowMs() })
          .where('credential_id', '=', row.credential_id)
          .where('counter', '=', row.counter),
      ])
      return result?.changes === 1
    },
  }
}
