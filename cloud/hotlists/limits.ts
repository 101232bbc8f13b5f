/** How much a list file may hold; used by its parsers, its mappings and the API. */

/** A million rows of 64 characters. */
export const MAX_IMPORT_BYTES = 64 * 1024 * 1024
/** Bytes of one row. */
export const MAX_ROW_BYTES = 16 * 1024
export const MAX_COLUMNS = 128
export const MAX_CATEGORY_LENGTH = 64
export const MAX_REASON_LENGTH = 500
export const MAX_CASE_LENGTH = 64
/** Entries of one plate: a list has one a case, and a match looks at all of them. As many as a camera looks at. */
export const MAX_ENTRIES_PER_PLATE = 64
