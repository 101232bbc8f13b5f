/** Routes of saved list mappings: how the columns of an agency's list files are told. */
import { z } from 'zod'
import { slugSchema } from '../../shared/names.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import { listMappingSchema, MAX_MAPPING_BYTES } from '../hotlists/mapping.ts'
import type { SavedMapping } from '../hotlists/mappings.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'

const nameParams = z.object({ name: slugSchema })

const mappingSchema = z.object({
  name: slugSchema,
  savedAtMs: timeMsSchema.nullable().describe('null: it is shipped'),
  savedBy: slugSchema.nullable(),
  usedBy: z.array(slugSchema).describe('lists whose next import is read by it when nothing else is said'),
  // As it was checked when it was saved; its schema is that of the PUT.
  mapping: z.record(z.string(), z.unknown()),
})

/** Shorter than the whole: for a list of them. */
const summarySchema = mappingSchema.omit({ mapping: true }).extend({ format: z.string(), columns: z.int() })

const summaryOf = ({ mapping, ...saved }: SavedMapping) => ({
  ...saved,
  format: mapping.format,
  columns: mapping.columns.length,
})

export function registerListMappings(app: TypedApi, { listMappings }: CloudParts, door: Door): void {
  const subject = (name: string) => ({ kind: 'list-mapping', id: name })

  app.route({
    method: 'GET',
    url: '/api/v1/list-mappings',
    onRequest: door.guard('hotlists.read'),
    schema: {
      summary: 'Saved mappings of list files, and the lists that use them',
      response: { 200: z.object({ mappings: z.array(summarySchema) }) },
    },
    handler: async () => ({ mappings: (await listMappings.list()).map(summaryOf) }),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/list-mappings/:name',
    onRequest: door.guard('hotlists.read'),
    schema: { summary: 'One mapping', params: nameParams, response: { 200: mappingSchema } },
    handler: (request) => listMappings.get(request.params.name),
  })

  app.route({
    method: 'PUT',
    url: '/api/v1/list-mappings/:name',
    onRequest: door.guard('hotlists.write'),
    bodyLimit: MAX_MAPPING_BYTES,
    schema: {
      summary:
        'Saves a mapping, in the place of one of that name; lists that use it are read by it from the next import on',
      params: nameParams,
      body: listMappingSchema,
      response: { 200: mappingSchema },
    },
    async handler(request) {
      const { name } = request.params
      const sha256 = sha256Hex(Buffer.from(JSON.stringify(request.body)))
      const detail = { format: request.body.format, columns: request.body.columns.length, sha256 }
      return door.audited(request, { operation: 'list_mapping.save', subject: subject(name), detail }, () =>
        listMappings.save(name, request.body, door.session(request).account),
      )
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/list-mappings/:name',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Removes a mapping that no list uses',
      params: nameParams,
      response: { 200: z.object({ name: slugSchema }) },
    },
    async handler(request) {
      const { name } = request.params
      await door.audited(request, { operation: 'list_mapping.remove', subject: subject(name) }, () =>
        listMappings.remove(name),
      )
      return { name }
    },
  })
}
