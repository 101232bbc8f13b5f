/** What searches walk as Kysely sees it; part of schema.ts. */
/** Owner: sightings.ts, by the triggers of its table: each key of a plate once, while a sighting has it. */
export interface PlateKeysTable {
  confusable_key: string
}

/** Owner: sightings.ts, as above. `head || suffix` is a key, cut at each of its places. */
export interface PlateSuffixesTable {
  suffix: string
  head: string
}

export interface SearchSchema {
  plate_keys: PlateKeysTable
  plate_suffixes: PlateSuffixesTable
}
