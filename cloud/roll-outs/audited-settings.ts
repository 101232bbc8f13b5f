/** Settings that are rolled out, as the audit names them; the roll-out keeps the whole. Pure: used by the API. */
import { z } from 'zod'
import { sha256Hex } from '../../shared/signing.ts'
import { type CameraSettings, cameraSettingsSchema } from '../../shared/wire/index.ts'
import { canonicalBytes } from '../audit/entry.ts'
import { auditedValue } from '../audit/value.ts'

/** Those that hold fields; what a field holds is one value, however deep. */
const GROUPS: ReadonlySet<string> = new Set(
  Object.entries(cameraSettingsSchema.shape)
    .filter(([, schema]) => schema.unwrap() instanceof z.ZodObject)
    .map(([name]) => name),
)

/** SHA-256, hex, of their canonical JSON [RFC 8785]. */
export const settingsDigest = (settings: CameraSettings): string => sha256Hex(canonicalBytes(settings))

/** The digest, and each field by its path with its value: no field can hide behind another, since the schema names them all. */
export function auditedSettings(settings: CameraSettings): Record<string, string> {
  const fields = Object.entries(settings).flatMap(([name, value]) =>
    GROUPS.has(name)
      ? Object.entries(value as object).map(([field, one]) => [`settings.${name}.${field}`, one] as const)
      : [[`settings.${name}`, value] as const],
  )
  return {
    settingsSha256: settingsDigest(settings),
    ...Object.fromEntries(fields.map(([path, value]) => [path, auditedValue(value)])),
  }
}
