/**
 * Signed notes, checkpoints and cosignatures as text [c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature]: how the audit's
 * head and what witnesses say of it are told to programs that know nothing of Candor. Pure; part of the stand-alone verifier.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { AppError } from '../../shared/errors.ts'
import { HASH_BYTES } from './tree.ts'

/** Characters of a note; a checkpoint with 16 cosignatures has about 3,000. */
export const MAX_NOTE_CHARACTERS = 64 * 1024
/** Signature lines of a note; the format asks for at least 16. */
export const MAX_NOTE_SIGNATURES = 64
export const MAX_KEY_NAME_CHARACTERS = 256
/** A witness's clock may be ahead of ours by this much. */
export const MAX_COSIGNATURE_AHEAD_MS = 5 * 60_000

/** Ed25519 over the note's text [signed-note]. */
const PLAIN = 0x01
/** Ed25519 over time and text [tlog-cosignature]. */
const COSIGNATURE = 0x04
type SignatureType = typeof PLAIN | typeof COSIGNATURE
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const TIME_BYTES = 8
const KEY_ID_BYTES = 4

/** SPKI and PKCS #8 of an Ed25519 key up to its 32 bytes [RFC 8410, 4 and 7]. */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Whose signature: a name and a key, which together make the key's id. */
export interface NoteKey {
  readonly name: string
  readonly type: SignatureType
  /** 32 bytes. */
  readonly publicKey: Buffer
}

export interface NoteSignature {
  readonly name: string
  /** 8 hexadecimal digits. */
  readonly keyId: string
  readonly signature: Buffer
  /** The line as it stands, without its end. */
  readonly line: string
}

export interface Note {
  /** With its last line's end: what is signed. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Buffer
}

/** The log's name in its checkpoints. `.example` belongs to nobody [RFC 2606, 3], so it is a name and never an address. */
export function originOf(agency: string): string {
  return `candor.example/${agency}/audit`
}

/** The key with which the log named `origin` signs, of a PEM public key. Throws `configuration` for anything but Ed25519. */
export function logKey(origin: string, publicKeyPem: string): NoteKey {
  let key: KeyObject
  try {
    key = createPublicKey(publicKeyPem)
  } catch (cause) {
    throw new AppError('configuration', 'the audit key is not a PEM public key', { cause })
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new AppError('configuration', 'the audit key is not Ed25519')
  const der = key.export({ type: 'spki', format: 'der' })
  return { name: origin, type: PLAIN, publicKey: der.subarray(der.length - KEY_BYTES) }
}

export function keyIdOf(key: NoteKey): string {
  const hash = createHash('sha256')
    .update(`${key.name}\n`)
    .update(Buffer.from([key.type]))
    .update(key.publicKey)
  return hash.digest().subarray(0, KEY_ID_BYTES).toString('hex')
}

/** `name+id+base64(type || key)` [signed-note, verifier keys]. */
export function verifierKey(key: NoteKey): string {
  return `${key.name}+${keyIdOf(key)}+${Buffer.concat([Buffer.from([key.type]), key.publicKey]).toString('base64')}`
}

/** Throws `bad_input` for what is no verifier key of a log or a witness. */
export function parseVerifierKey(text: string): NoteKey {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text.trim()) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  const type = bytes[0]
  if (isKeyName(name) && bytes.length === 1 + KEY_BYTES && (type === PLAIN || type === COSIGNATURE)) {
    const key: NoteKey = { name, type, publicKey: bytes.subarray(1) }
    if (keyIdOf(key) === id && bytes.toString('base64') === encoded) return key
  }
  throw new AppError('bad_input', 'not a verifier key', {
    hint: 'it looks like name+0123abcd+BASE64; `candor audit witness key` prints one',
  })
}

export function isWitnessKey(key: NoteKey): boolean {
  return key.type === COSIGNATURE
}

export function isKeyName(name: string): boolean {
  return name !== '' && name.length <= MAX_KEY_NAME_CHARACTERS && !/[\s\p{Z}\p{Cc}+]/u.test(name)
}

/** A witness's own key, kept as `PRIVATE+KEY+name+id+base64(type || seed)`, the form of Go's note package. */
export interface WitnessSigner {
  readonly key: NoteKey
  sign(bytes: Uint8Array): Buffer
}

export function encodeWitnessSecret(name: string, seed: Buffer): string {
  const { key } = witnessSigner(name, seed)
  const secret = Buffer.concat([Buffer.from([COSIGNATURE]), seed]).toString('base64')
  return `PRIVATE+KEY+${name}+${keyIdOf(key)}+${secret}\n`
}

/** Throws `configuration` for what is no witness's private key. */
export function parseWitnessSecret(text: string): WitnessSigner {
  const [, name = '', id = '', encoded = ''] =
    /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text.trim()) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  if (isKeyName(name) && bytes.length === 1 + KEY_BYTES && bytes[0] === COSIGNATURE) {
    const signer = witnessSigner(name, bytes.subarray(1))
    if (keyIdOf(signer.key) === id) return signer
  }
  throw new AppError('configuration', 'not the private key of a witness', {
    hint: 'make one with `candor audit witness key --name NAME --out FILE`',
  })
}

function witnessSigner(name: string, seed: Buffer): WitnessSigner {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' })
  const der = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return {
    key: { name, type: COSIGNATURE, publicKey: der.subarray(der.length - KEY_BYTES) },
    sign: (bytes) => sign(null, bytes, privateKey),
  }
}

/**
 * A note as people keep it, copied from a page or a mail into a file: another system's line ends, blanks around lines and no end of
 * the last one say nothing, and no note holds them.
 */
export function noteAsKept(text: string): string {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/)
  return `${lines
    .map((line) => line.trim())
    .join('\n')
    .trim()}\n`
}

/** Text and signatures, nothing verified. Throws `bad_input` for what is no signed note. */
export function parseNote(text: string): Note {
  const bad = (problem: string, code: 'bad_input' | 'too_large' = 'bad_input') =>
    new AppError(code, `not a signed note: ${problem}`)
  if (text.length > MAX_NOTE_CHARACTERS) throw bad(`longer than ${MAX_NOTE_CHARACTERS} characters`, 'too_large')
  if (/[^\P{Cc}\n]|\ufffd/u.test(text)) throw bad('it has control characters or is not UTF-8')
  const end = text.lastIndexOf('\n\n')
  if (end < 1 || !text.endsWith('\n')) throw bad('there is no text with signatures below')
  const lines = text.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_NOTE_SIGNATURES) throw bad(`more than ${MAX_NOTE_SIGNATURES} signatures`, 'too_large')
  const signatures = lines.map((line) => {
    const [, name = '', encoded = ''] = /^\u2014 ([^ ]+) ([A-Za-z0-9+/]+=*)$/.exec(line) ?? []
    const bytes = Buffer.from(encoded, 'base64')
    if (!isKeyName(name) || bytes.length <= KEY_ID_BYTES || bytes.toString('base64') !== encoded)
      throw bad('a signature line is damaged')
    const keyId = bytes.subarray(0, KEY_ID_BYTES).toString('hex')
    return { name, keyId, signature: bytes.subarray(KEY_ID_BYTES), line }
  })
  return { text: text.slice(0, end + 1), signatures }
}

export function noteOf(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.map((line) => `${line}\n`).join('')}`
}

function signatureLine(key: NoteKey, signature: Uint8Array): string {
  const bytes = Buffer.concat([Buffer.from(keyIdOf(key), 'hex'), signature])
  return `\u2014 ${key.name} ${bytes.toString('base64')}`
}

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/** Of a note's text; lines below the first three say nothing to us. Throws `bad_input`. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', size = '', encoded = ''] = text.split('\n')
  const root = Buffer.from(encoded, 'base64')
  const right = /^(0|[1-9]\d{0,15})$/.test(size) && Number.isSafeInteger(Number(size))
  if (origin === '' || !right || root.length !== HASH_BYTES || root.toString('base64') !== encoded)
    throw new AppError('bad_input', 'not a checkpoint: origin, size and root are the first three lines')
  return { origin, size: Number(size), root }
}

/** `sign`: Ed25519 with the private half of `key`, 64 bytes. */
export function signCheckpoint(checkpoint: Checkpoint, key: NoteKey, sign: (bytes: Buffer) => Uint8Array): string {
  const text = checkpointText(checkpoint)
  return noteOf(text, [signatureLine(key, sign(Buffer.from(text, 'utf8')))])
}

/** The checkpoint of a note that `key` signed. Throws `bad_input` for another shape, `integrity` when it is not signed by that key. */
export function openCheckpoint(text: string, key: NoteKey): Checkpoint & { note: Note } {
  const note = parseNote(text)
  const own = note.signatures.filter(({ name, keyId }) => name === key.name && keyId === keyIdOf(key))
  const [first] = own
  if (first === undefined) {
    const origin = note.text.split('\n', 1)[0] ?? ''
    throw new AppError('integrity', `the checkpoint of ${origin} is not signed by the key of ${key.name}`)
  }
  for (const { signature } of own) {
    if (!verifies(key, Buffer.from(note.text, 'utf8'), signature))
      throw new AppError('integrity', 'the checkpoint\u2019s signature does not verify: it was changed')
  }
  const checkpoint = parseCheckpoint(note.text)
  if (checkpoint.origin !== key.name)
    throw new AppError('integrity', `the checkpoint is of ${checkpoint.origin}, not of ${key.name}`)
  return { ...checkpoint, note }
}

/** What a cosignature is made over. */
function cosigned(text: string, seconds: bigint): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`, 'utf8')
}

/** The line with which a witness says that at `atMs` this was the largest tree of the log that it had seen, and consistent. */
export function cosign(text: string, signer: WitnessSigner, atMs: number): string {
  const seconds = BigInt(Math.floor(atMs / 1_000))
  const time = Buffer.alloc(TIME_BYTES)
  time.writeBigUInt64BE(seconds)
  return signatureLine(signer.key, Buffer.concat([time, signer.sign(cosigned(text, seconds))]))
}

/**
 * What `witness` says in the note: its line and time, or null when it says nothing. Throws `integrity` for a signature of its that
 * does not verify, or from a time after `nowMs` (null: whatever its time).
 */
export function cosignatureOf(
  note: Note,
  witness: NoteKey,
  nowMs: number | null,
): { line: string; atMs: number } | null {
  const id = keyIdOf(witness)
  for (const { name, keyId, signature, line } of note.signatures) {
    if (name !== witness.name || keyId !== id) continue
    const wrong = (problem: string) => new AppError('integrity', `the cosignature of ${name} ${problem}`)
    if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) throw wrong('is damaged')
    const seconds = signature.readBigUInt64BE(0)
    if (!verifies(witness, cosigned(note.text, seconds), signature.subarray(TIME_BYTES))) throw wrong('does not verify')
    const atMs = Number(seconds) * 1_000
    if (!Number.isSafeInteger(atMs) || (nowMs !== null && atMs > nowMs + MAX_COSIGNATURE_AHEAD_MS))
      throw wrong('is from the future: check its clock')
    return { line, atMs }
  }
  return null
}

function verifies(key: NoteKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_HEAD, key.publicKey]), format: 'der', type: 'spki' })
  return verify(null, bytes, publicKey, signature)
}
