/** The parts of a camera's health that tell of the unit and of its picture. Part of camera.ts; older cameras send none of them. */
import { z } from 'zod'

const counter = z.int().min(0)
const share = z.number().min(0)

/** What a Raspberry Pi says of its power and heat [its documentation, vcgencmd get_throttled]; Debian's kernel knows the voltage alone. */
const throttleSchema = z.strictObject({
  underVoltage: z.boolean(),
  frequencyCapped: z.boolean().optional(),
  throttled: z.boolean().optional(),
  softTemperatureLimit: z.boolean().optional(),
})
export type Throttle = z.infer<typeof throttleSchema>

/** A member that a newer camera has and this cloud does not know is left out: the rest counts. */
export const deviceSchema = z.object({
  temperatureC: z.number().min(-100).max(300).optional().describe('of the processor, °C'),
  throttle: z
    .strictObject({ now: throttleSchema, sinceBoot: throttleSchema.optional() })
    .optional()
    .describe('of a Raspberry Pi; absent elsewhere'),
  disk: z.strictObject({ freeBytes: counter, totalBytes: counter }).optional().describe('where the data folder lies'),
  memory: z.strictObject({ availableBytes: counter, totalBytes: counter }).optional(),
  dataEncrypted: z
    .boolean()
    .optional()
    .describe(
      'whether the data partition of a unit that was made from an image is sealed to its key store; absent elsewhere',
    ),
  clockOffsetMs: z
    .number()
    .min(-1e12)
    .max(1e12)
    .optional()
    .describe('of its clock against UTC, as the time service last measured it; ahead is positive'),
  versions: z
    .strictObject({
      software: z.string().max(64),
      node: z.string().max(32),
      detector: z.string().max(64),
      reader: z.string().max(64),
      system: z.string().max(128).optional().describe('PRETTY_NAME of os-release'),
      image: z.string().max(64).optional().describe('IMAGE_VERSION of os-release'),
    })
    .optional(),
})
export type Device = z.infer<typeof deviceSchema>

/** Since the health report before, frames a second. */
export const rateSchema = z.strictObject({
  capturedPerSecond: share.max(10_000).describe('that the source gave, dropped ones included'),
  readPerSecond: share.max(10_000).describe('that were read, or were still'),
})
export type FrameRate = z.infer<typeof rateSchema>

export const pictureSchema = z.strictObject({
  luminance: z.number().min(0).max(255).describe('mean brightness'),
  sharpness: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .describe('1: edges as steep as pixels allow, 0.3: blurred by two pixels; null: too few edges to tell'),
  detail: share.max(1e6).nullable().describe('outlines beside those that were learned; near 0: covered'),
  likeness: z.number().min(-1).max(1).nullable().describe('of the view with the learned one; null: it still learns'),
  displacementPx: share.max(100_000).nullable().describe('of the view, pixels of the original'),
  displacementRatio: share.max(1).nullable().describe("the same in parts of the picture's width"),
  lookMs: share.max(600_000).describe('what looking cost'),
})
export type ScenePicture = z.infer<typeof pictureSchema>
