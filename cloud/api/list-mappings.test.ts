/** Saved mappings over HTTP, and imports that are read by them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../shared/ids.ts'
import { MAX_MAPPING_BYTES } from '../hotlists/mapping.ts'
import { MAX_LIST_MAPPINGS } from '../hotlists/mappings.ts'
import { audited, inWorld } from './testing.ts'

const PATH = '/api/v1/list-mappings'
const TAGS = { format: 'delimited', columns: [{ from: 'Tag', to: 'plate' }] }
const NUMBERS = { format: 'delimited', columns: [{ from: 'Number', to: 'plate' }] }

test('a mapping is saved, shown, replaced and removed, by who may change lists, and all of it is in the audit', async () => {
  await inWorld(async (world) => {
    const [ada, reader] = [await world.as('hotlist-admin'), await world.as('auditor')]
    const put = (name: string, json: unknown, token = ada) => world.call('PUT', `${PATH}/${name}`, { token, json })
    const get = (path = '') => world.call('GET', `${PATH}${path}`, { token: reader })
    const saved = await put('county', TAGS)
    assert.is(saved.status, 200, JSON.stringify(saved.json))
    assert.equal([saved.json.name, saved.json.usedBy, saved.json.savedBy], ['county', [], 'person-1'])
    assert.equal((await put('county', NUMBERS)).json.mapping.columns[0].from, 'Number')
    assert.equal((await get('/county')).json.mapping.columns[0].from, 'Number')
    assert.equal(
      (await get()).json.mappings.map((one: { name: string; format: string }) => `${one.name} ${one.format}`),
      ['ncic delimited', 'county delimited'],
    )
    assert.is((await put('state', TAGS, reader)).status, 403)
    const wrong = await put('state', { format: 'delimited', columns: [TAGS.columns[0], TAGS.columns[0]] })
    assert.equal([wrong.status, wrong.json.error.code], [400, 'bad_input'])
    assert.match(wrong.json.error.message, /two columns for plate/)
    assert.is((await put('NotASlug', TAGS)).status, 400)
    for (const taken of ['ncic', 'none']) assert.is((await put(taken, TAGS)).status, 409)
    const remove = (name: string, token = ada) => world.call('DELETE', `${PATH}/${name}`, { token })
    assert.is((await remove('county', reader)).status, 403)
    assert.is((await remove('county')).status, 200)
    assert.equal([(await remove('county')).status, (await get('/county')).status], [404, 404])
    assert.is((await remove('ncic')).status, 409)
    assert.is((await get('/ncic')).json.savedAtMs, null)
    const said = (await audited(world)).map(({ operation, outcome, rule }) => `${operation} ${outcome} ${rule ?? ''}`)
    for (const line of [
      'list_mapping.save allowed ',
      'list_mapping.save refused conflict',
      'list_mapping.remove allowed ',
      'list_mapping.remove refused not_found',
      'permission.refused refused hotlists.write',
    ]) {
      assert.ok(said.includes(line), `${line} in ${said.join('\n')}`)
    }
  })
})

test('as many mappings are kept as may be, none but the last too long, and one of them can still be replaced', async () => {
  await inWorld(async (world) => {
    const token = await world.as('hotlist-admin')
    const put = (name: string, json: unknown = TAGS) => world.call('PUT', `${PATH}/${name}`, { token, json })
    for (let i = 0; i < MAX_LIST_MAPPINGS; i++) assert.is((await put(`m-${i}`)).status, 200)
    assert.is((await put('one-more')).status, 413)
    assert.is((await put('m-0', NUMBERS)).status, 200)
    const long = (bytes: number) => {
      const text = JSON.stringify(TAGS)
      return world.call('PUT', `${PATH}/m-1`, { token, text: text.padEnd(bytes, ' '), type: 'application/json' })
    }
    assert.is((await long(MAX_MAPPING_BYTES)).status, 200)
    assert.is((await long(MAX_MAPPING_BYTES + 1)).status, 413)
  })
})

test('a list remembers by what it was read until it is told otherwise, and a mapping that a list uses stays', async () => {
  await inWorld(async (world) => {
    const token = await world.as('hotlist-admin')
    const save = (json: unknown) => world.call('PUT', `${PATH}/county`, { token, json })
    await save(TAGS)
    const put = async (query: string, text: string, list = 'stolen') =>
      (await world.call('PUT', `/api/v1/hotlists/${list}${query}`, { token, text, type: 'text/csv' })).json
    assert.is((await put('?mapping=nowhere', 'Tag\nABC123\n')).error.code, 'not_found')
    assert.is((await put('?mapping=county&dryRun=true', 'Tag\nABC123\n')).good, 1)
    assert.is((await put('', 'Tag\nABC123\n')).unusable, true, 'a dry run changes nothing')
    const first = await put('?mapping=county', 'Tag,Colour\nABC123,red\n')
    assert.equal([first.applied, first.mapping, first.leftOutColumns], [true, 'county', ['Colour']])
    assert.equal(first.columns, [{ column: 'Tag', field: 'plate' }])
    const refresh = await put('', 'Tag\nABC123\nBCD234\n')
    assert.equal([refresh.applied, refresh.mapping, refresh.difference.added], [true, 'county', 1])
    await put('?mapping=county', 'Tag\nABC123\n', 'wanted')
    assert.equal((await save(NUMBERS)).json.usedBy, ['stolen', 'wanted'])
    assert.is((await put('', 'Tag\nABC123\n')).unusable, true, 'the next import is read by what is saved now')
    assert.is((await put('', 'Number\nABC123\nBCD234\n')).applied, true)
    const remove = () => world.call('DELETE', `${PATH}/county`, { token })
    const refused = await remove()
    assert.equal([refused.status, refused.json.error.message], [409, 'county is used by stolen, wanted'])
    const back = await put('?mapping=none', 'plate\nABC123\n')
    assert.equal([back.applied, back.mapping], [true, null])
    assert.is((await put('', 'plate\nABC123\n')).applied, true)
    await put('?mapping=ncic', 'LIC,VIN\nABC123,1HG\n', 'wanted')
    assert.is((await remove()).status, 200)
    const imported = (await audited(world)).filter(({ operation }) => operation === 'hotlist.imported')
    assert.ok(imported.some(({ detail }) => detail.mapping === 'county' && detail.applied === true))
  })
})

test('a version that waits for a second person is remembered with its mapping', async () => {
  await inWorld(async (world) => {
    const token = await world.as('hotlist-admin')
    await world.call('PUT', `${PATH}/county`, { token, json: TAGS })
    const put = async (query: string, text: string) =>
      (await world.call('PUT', `/api/v1/hotlists/stolen${query}`, { token, text, type: 'text/csv' })).json
    const plates = Array.from({ length: 100 }, (_, i) => `P${100 + i}00\n`)
    await put('', `plate\n${plates.join('')}`)
    const dry = await put('?mapping=county&dryRun=true', 'Tag\nP10000\n')
    assert.equal([dry.needsApproval, dry.pendingVersion], [true, null])
    assert.is((await put('?mapping=county', 'Tag\nP10000\n')).pendingVersion, 2)
    assert.is((await put('?dryRun=true', `Tag\n${plates.join('')}`)).good, 100)
  })
})

test('how an import went can be asked for by its id, also when its reply never came', async () => {
  await inWorld(async (world) => {
    const [token, officer] = [await world.as('hotlist-admin'), await world.as('officer')]
    const importId = newId()
    const put = (text: string, id = importId) =>
      world.call('PUT', `/api/v1/hotlists/stolen?importId=${id}`, { token, text, type: 'text/csv' })
    const ask = async (query: string, list = 'stolen', by = token) =>
      world.call('GET', `/api/v1/hotlists/${list}/progress${query}`, { token: by })
    assert.is((await ask('')).json.progress, null)
    const reply = await put('plate\nABC123\n!\n')
    const { progress } = (await ask(`?importId=${importId}`)).json
    assert.equal([progress.state, progress.failure, progress.rows], ['done', null, 2])
    assert.equal(progress.reply, reply.json)
    assert.is((await ask('')).json.progress.importId, importId)
    assert.is((await ask(`?importId=${importId}`, 'wanted')).json.progress, null)
    assert.is((await put('plate\nABC123\n')).status, 409, 'an id is for one import')
    assert.is((await put('plate\nABC123\n', 'x')).status, 400)
    assert.is((await ask('', 'stolen', officer)).status, 403)
    const failed = newId()
    await world.call('PUT', `/api/v1/hotlists/stolen?importId=${failed}&mapping=nowhere`, {
      ...{ token, text: 'x', type: 'text/csv' },
    })
    const told = (await ask(`?importId=${failed}`)).json.progress
    assert.equal([told.state, told.failure.code, told.reply], ['failed', 'not_found', null])
  })
})

test.run()
