/**
 * The code of a camera's claim: 130 random bits in 26 characters that no one mistakes, and a 27th that shows a wrong one before it is
 * sent. Made by the cloud, typed or carried to the unit; kept as its digest alone.
 */
import { sha256Hex } from './signing.ts'

/** Crockford's base 32: no I, L, O (read as 1, 1, 0) and no U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** 5 bits each: 130 bits. */
export const CLAIM_CHARACTERS = 26
const CLAIM_BYTES = Math.ceil((CLAIM_CHARACTERS * 5) / 8)
/** Shown in groups of as many. */
const GROUP = 5
/** Longest text that is looked at: the code with a separator behind each character. */
export const MAX_CLAIM_TEXT = 64

/** Times α in GF(32) made by x⁵ + x² + 1. */
const timesAlpha = (value: number): number => (value & 0x10 ? ((value << 1) ^ 0b100101) & 0x1f : value << 1)

/**
 * Σ αⁱ·cᵢ from the last character on. As α has order 31, every wrong character and every two that changed places give another sum.
 */
function checkCharacter(code: string): string {
  let sum = 0
  for (const character of code) sum = timesAlpha(sum ^ ALPHABET.indexOf(character))
  return ALPHABET.charAt(sum)
}

/** With its check character, in groups: `7Q4MX-…`. `newSecret` gives base64url of so many random bytes. */
export function newClaimCode(newSecret: (byteCount: number) => string): string {
  let bits = BigInt(`0x${Buffer.from(newSecret(CLAIM_BYTES), 'base64url').toString('hex')}`)
  let code = ''
  for (let i = 0; i < CLAIM_CHARACTERS; i += 1) {
    code += ALPHABET.charAt(Number(bits & 31n))
    bits >>= 5n
  }
  const whole = code + checkCharacter(code)
  return (whole.match(new RegExp(`.{1,${GROUP}}`, 'g')) ?? []).join('-')
}

/** The 26 characters that count, or null when a character is wrong, missing or in another place. */
export function parseClaimCode(typed: string): string | null {
  if (typed.length > MAX_CLAIM_TEXT) return null
  const bare = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
  const code = bare.slice(0, CLAIM_CHARACTERS)
  if (bare.length !== CLAIM_CHARACTERS + 1 || [...bare].some((character) => !ALPHABET.includes(character))) return null
  return checkCharacter(code) === bare.slice(CLAIM_CHARACTERS) ? code : null
}

/** What the cloud keeps. No salt: 130 random bits are in no table. */
export function claimDigest(code: string): string {
  return sha256Hex(`candor claim ${code}`)
}
