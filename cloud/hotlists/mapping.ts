/**
 * What an agency says of a list file that is not laid out as ours: which columns there are and what each becomes. A mapping is a
 * JSON document, checked here; columns.ts and fixed-width.ts read files by it, mappings.ts keeps it. Also used by the command line.
 */
import { z } from 'zod'
import { listRuleSchema } from '../../shared/wire/hotlist.ts'
import { jurisdictionSchema } from '../../shared/wire/sighting.ts'
import { MAX_CASE_LENGTH, MAX_CATEGORY_LENGTH, MAX_COLUMNS, MAX_REASON_LENGTH, MAX_ROW_BYTES } from './limits.ts'

/** Texts that one column of a mapping translates. */
export const MAX_MAPPED_VALUES = 500
/** Lines before the header or the first row. */
export const MAX_SKIPPED_LINES = 100
/** Characters of a column's name, of a value and of a trailer's mark. */
export const MAX_COLUMN_NAME_LENGTH = 128
export const MAX_MAPPED_VALUE_LENGTH = 256
export const MAX_TRAILER_MARK_LENGTH = 64
/** Records that a trailer may count beside the rows: headers and itself. */
export const MAX_COUNTED_BESIDE = 16
/** Of the document as JSON, bytes. */
export const MAX_MAPPING_BYTES = 256 * 1024

/** What a column can become, by the names of our own header row; `state` is a two-letter code of NCIC. */
export const MAPPED_FIELDS = [
  'plate',
  'jurisdiction',
  'state',
  'category',
  'priority',
  'reason',
  'case',
  'effective',
  'expires',
  'match',
] as const

/** How dates are written; two-digit years need a pivot. */
export const DATE_FORMATS = [
  'YYYY-MM-DD',
  'YYYYMMDD',
  'MM/DD/YYYY',
  'DD/MM/YYYY',
  'DD.MM.YYYY',
  'MMDDYYYY',
  'DDMMYYYY',
  'MMDDYY',
  'DDMMYY',
  'YYMMDD',
] as const

/** Every value that the column does not name itself. */
export const ANY_OTHER_VALUE = '*'

const spanSchema = z
  .strictObject({
    start: z.int().min(1).max(MAX_ROW_BYTES).describe('first character, from 1'),
    length: z.int().min(1).max(MAX_ROW_BYTES).describe('characters'),
  })
  .refine(({ start, length }) => start + length - 1 <= MAX_ROW_BYTES, `must end at ${MAX_ROW_BYTES} or before`)

const positionSchema = z.int().min(1).max(MAX_COLUMNS)

const fromSchema = z
  .union([z.string().trim().min(1).max(MAX_COLUMN_NAME_LENGTH), positionSchema, spanSchema])
  .describe('name in the header row, number from 1, or {start, length} of a fixed-width file')

const valueSchema = z.string().max(MAX_MAPPED_VALUE_LENGTH)

const columnSchema = z.strictObject({
  from: fromSchema,
  to: z.enum(MAPPED_FIELDS),
  optional: z.boolean().default(false).describe('a file whose header row has not this name is taken too'),
  values: z
    .record(valueSchema, valueSchema)
    .refine((values) => Object.keys(values).length <= MAX_MAPPED_VALUES, `at most ${MAX_MAPPED_VALUES} values`)
    .optional()
    .describe('text in the file → text to take; "*" is any other; what is not named stays'),
})

const trailerSchema = z.strictObject({
  startsWith: z
    .string()
    .min(1)
    .max(MAX_TRAILER_MARK_LENGTH)
    .optional()
    .describe('how the last record begins; a file that does not end so has been cut short'),
  count: z.union([positionSchema, spanSchema]).optional().describe('where it says how many rows there are'),
  countedBeside: z
    .int()
    .min(0)
    .max(MAX_COUNTED_BESIDE)
    .default(0)
    .describe('records it counts beside the rows, such as the header and itself'),
})

const defaultsSchema = z.strictObject({
  category: z.string().min(1).max(MAX_CATEGORY_LENGTH).optional(),
  priority: z.int().min(1).max(5).optional(),
  jurisdiction: jurisdictionSchema.optional(),
  match: listRuleSchema.optional(),
  reason: z.string().min(1).max(MAX_REASON_LENGTH).optional(),
  case: z.string().min(1).max(MAX_CASE_LENGTH).optional(),
})

export const listMappingSchema = z
  .strictObject({
    format: z.enum(['delimited', 'fixed-width']),
    delimiter: z.enum([',', ';', '\t', '|']).optional().describe('found out when not given'),
    quote: z.enum(['"', "'"]).nullable().optional().describe('null: none; default "'),
    header: z.boolean().optional().describe('default: delimited with columns by name has one'),
    encoding: z.enum(['utf-8', 'latin-1']).default('utf-8'),
    skipLines: z.int().min(0).max(MAX_SKIPPED_LINES).default(0),
    trailer: trailerSchema.optional().describe('the last record is none of the rows'),
    columns: z.array(columnSchema).min(1).max(MAX_COLUMNS),
    dateFormat: z.enum(DATE_FORMATS).optional().describe('default: 2026-01-31, 20260131 or a time with its zone'),
    pivotYear: z.int().min(0).max(99).optional().describe('two-digit years below it are 20xx, the others 19xx'),
    defaults: defaultsSchema.default({}).describe('for rows that do not say'),
  })
  .superRefine((mapping, context) => {
    const wrong = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message })
    const isFixed = mapping.format === 'fixed-width'
    const seen = new Set<string>()
    for (const [i, { from, to, optional }] of mapping.columns.entries()) {
      if (seen.has(to)) wrong(['columns', i, 'to'], `two columns for ${to}`)
      seen.add(to)
      const kind = typeof from
      if (isFixed !== (kind === 'object')) {
        wrong(['columns', i, 'from'], isFixed ? 'must be {start, length}' : 'must be a name or a number')
      }
      if (kind === 'string' && mapping.header === false) wrong(['columns', i, 'from'], 'a name needs a header row')
      if (optional && kind !== 'string') wrong(['columns', i, 'optional'], 'is for columns by name')
    }
    if (!seen.has('plate')) wrong(['columns'], 'no column for plate')
    if (isFixed && mapping.delimiter !== undefined) wrong(['delimiter'], 'a fixed-width file has none')
    if (isFixed && mapping.quote !== undefined) wrong(['quote'], 'a fixed-width file has none')
    const hasShortYears = /(?<!Y)YY(?!Y)/.test(mapping.dateFormat ?? '')
    if (hasShortYears && mapping.pivotYear === undefined) wrong(['pivotYear'], `is needed for ${mapping.dateFormat}`)
    if (!hasShortYears && mapping.pivotYear !== undefined) wrong(['pivotYear'], 'is for two-digit years')
    const { trailer } = mapping
    if (trailer !== undefined) {
      if (trailer.count !== undefined && isFixed !== (typeof trailer.count === 'object')) {
        wrong(['trailer', 'count'], isFixed ? 'must be {start, length}' : 'must be a number')
      }
      if (trailer.count === undefined && trailer.countedBeside > 0) {
        wrong(['trailer', 'countedBeside'], 'needs trailer.count')
      }
      // Without either, a file that broke off would lose its last row and look whole.
      if (trailer.count === undefined && trailer.startsWith === undefined) {
        wrong(['trailer'], 'needs startsWith, count or both')
      }
    }
    if (Buffer.byteLength(JSON.stringify(mapping)) > MAX_MAPPING_BYTES)
      wrong([], `longer than ${MAX_MAPPING_BYTES} bytes as JSON`)
  })

export type ListMapping = z.infer<typeof listMappingSchema>
/** As it is written by people: what has a default may be missing. */
export type WrittenMapping = z.input<typeof listMappingSchema>
export type MappedField = (typeof MAPPED_FIELDS)[number]
export type DateFormat = (typeof DATE_FORMATS)[number]
export type Span = z.infer<typeof spanSchema>

/** Has the file a row of names? */
export function hasHeader(mapping: ListMapping): boolean {
  return mapping.header ?? mapping.columns.some(({ from }) => typeof from === 'string')
}

const ncicColumn = (from: string, to: MappedField, optional = true) => ({ from, to, optional })

/** Shipped mappings. `ncic`: a delimited extract with NCIC's message field codes as names, and nothing else of it. */
export const BUILT_IN_MAPPINGS: Readonly<Record<string, ListMapping>> = {
  ncic: listMappingSchema.parse({
    format: 'delimited',
    header: true,
    columns: [
      ncicColumn('LIC', 'plate', false),
      ncicColumn('LIS', 'state'),
      ncicColumn('MKE', 'category'),
      ncicColumn('OCA', 'case'),
      ncicColumn('MIS', 'reason'),
    ],
  } satisfies WrittenMapping),
}

/** The import option that goes back to our own column names. */
export const NO_MAPPING = 'none'
