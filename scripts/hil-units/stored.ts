/** `stored.ts DATABASE`: how many sightings a cloud has stored, and how many of them more than once. Run in the container by inside.sh. */
import { openDatabase } from '../../shared/sqlite.ts'

const [path = ''] = process.argv.slice(2)
const database = openDatabase(path, { readonly: true })
const row = database
  .prepare(
    'SELECT count(*) AS stored, count(*) - count(DISTINCT camera_id || sighting_id || revision) AS twice FROM sightings',
  )
  .get() as { stored: number; twice: number }
database.close()
console.log(`${row.stored} ${row.twice}`)
