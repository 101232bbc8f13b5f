/** Names of agencies, cameras, lists, groups and accounts, and the identities made of them. */
import { z } from 'zod'

export const SLUG_PATTERN = /^[a-z0-9-]{1,32}$/

export const slugSchema = z.string().regex(SLUG_PATTERN, 'must be 1-32 of a-z, 0-9 and -')

/** SAN of a camera's certificate. */
export function cameraUrn(agency: string, camera: string): string {
  return `urn:candor:${agency}:camera:${camera}`
}

/** Takes a camera's SAN apart; null when it is none. */
export function parseCameraUrn(urn: string): { agency: string; camera: string } | null {
  const match = /^urn:candor:([a-z0-9-]{1,32}):camera:([a-z0-9-]{1,32})$/.exec(urn)
  return match?.[1] !== undefined && match[2] !== undefined ? { agency: match[1], camera: match[2] } : null
}

/** SAN of the certificate that an agency's cloud shows to those of other agencies. */
export function partnerUrn(agency: string): string {
  return `urn:candor:${agency}:partner`
}

/** The agency of a partner's SAN; null when it is none. */
export function parsePartnerUrn(urn: string): string | null {
  return /^urn:candor:([a-z0-9-]{1,32}):partner$/.exec(urn)?.[1] ?? null
}

/** MQTT client id of a camera: `{agency}.{camera}`. */
export function cameraClientId(agency: string, camera: string): string {
  return `${agency}.${camera}`
}

/** MQTT client id of a person's device: `{account}.{device}`; null when it is not of that form. */
export function parsePersonClientId(clientId: string): { account: string; device: string } | null {
  const match = /^([a-z0-9-]{1,32})\.([a-z0-9-]{1,32})$/.exec(clientId)
  return match?.[1] !== undefined && match[2] !== undefined ? { account: match[1], device: match[2] } : null
}
