/** Limits on pictures, without loading what decodes them. */

/** Longest encoded picture, bytes: a 40-megapixel JPEG at the best quality is about 30 MB. */
export const MAX_PICTURE_BYTES = 48 * 1024 * 1024
/** Most pixels, width × height: above the sensors of the cameras that the project supports. */
export const MAX_PICTURE_PIXELS = 40_000_000
/** Shortest side in which a plate could be read, px. */
export const MIN_PICTURE_SIDE_PX = 16
/** Narrower plates show the name of their state less than 6 px high, which cannot be read. */
export const MIN_JURISDICTION_WIDTH_PX = 110
