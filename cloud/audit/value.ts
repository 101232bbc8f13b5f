/** A value of any length as an entry has room for it. Pure: used by the API for policies and settings, of which the whole is kept elsewhere. */

/** Of one value, bytes. */
export const MAX_AUDITED_VALUE_BYTES = 120

/** As JSON; cut, and told how long it is, when that has more than MAX_AUDITED_VALUE_BYTES. */
export function auditedValue(value: unknown): string {
  const text = JSON.stringify(value)
  const bytes = Buffer.from(text)
  if (bytes.length <= MAX_AUDITED_VALUE_BYTES) return text
  // Cut between characters: what is left of a broken one is dropped.
  const cut = new TextDecoder().decode(bytes.subarray(0, MAX_AUDITED_VALUE_BYTES)).replace(/\uFFFD+$/, '')
  return `${cut}… (${bytes.length} bytes)`
}
