/** Limits on pictures, without loading what decodes them. */

/** Longest encoded picture, bytes: a 40-megapixel JPEG at the best quality is about 30 MB. */
export const MAX_PICTURE_BYTES = 48 * 1024 * 1024
/** Most pixels, width × height: above the sensors of the cameras that the project supports. */
export const MAX_PICTURE_PIXELS = 40_000_000
/** Shortest side in which a plate could be read, px. */
export const MIN_PICTURE_SIDE_PX = 16
