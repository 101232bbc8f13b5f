import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openReceiver } from '../../cloud/webhooks/testing.ts'
import { inWorld } from '../trial/commands-testing.ts'

test('webhooks are added, tested, paused, resumed, given another secret, listed and removed from the command line', async () => {
  const receiver = await openReceiver()
  try {
    await inWorld(async ({ asAdministrator, as }) => {
      const added = await asAdministrator(
        'webhook',
        'add',
        'dispatch',
        '--url',
        receiver.url,
        '--groups',
        'patrol,night',
      )
      assert.is(added.code, 0, added.err)
      const secret = /^ {2}([\w-]{43})$/m.exec(added.out)?.[1] ?? ''
      assert.is.not(secret, '')
      const tested = await asAdministrator('webhook', 'test', 'dispatch')
      assert.equal([tested.code, /^dispatch: status 200 after \d+ ms$/m.test(tested.out)], [0, true], tested.err)
      assert.is(receiver.got[0]?.json.test, true)
      receiver.answer = 404
      const refused = await asAdministrator('webhook', 'test', 'dispatch', '--json')
      assert.is(refused.code, 1)
      assert.match(refused.err, /dispatch: status 404 after/)
      assert.equal([JSON.parse(refused.out).delivered, JSON.parse(refused.out).status], [false, 404])
      assert.is((await asAdministrator('webhook', 'pause', 'dispatch')).out, 'dispatch is paused.\n')
      const table = await asAdministrator('webhook', 'list')
      assert.match(
        table.out,
        /^dispatch +http:\/\/127\.0\.0\.1:\d+ +night patrol +no +paused for \d+ s by admin +0 +0$/m,
      )
      assert.is((await asAdministrator('webhook', 'pause', 'dispatch')).code, 1)
      assert.is((await asAdministrator('webhook', 'resume', 'dispatch')).out, 'dispatch is resumed.\n')
      const replaced = JSON.parse((await asAdministrator('webhook', 'replace-secret', 'dispatch', '--json')).out)
      assert.is(replaced.webhook, 'dispatch')
      assert.is.not(replaced.secret, secret)
      const listed = JSON.parse((await asAdministrator('webhook', 'list', '--json')).out)
      assert.equal([listed.length, listed[0].state, listed[0].waiting], [1, 'ok', 0])
      assert.is((await (await as('olga', ['officer']))('webhook', 'list')).code, 1)
      assert.is((await asAdministrator('webhook', 'remove', 'dispatch')).out, 'dispatch is removed.\n')
      assert.equal(JSON.parse((await asAdministrator('webhook', 'list', '--json')).out), [])
      assert.is((await asAdministrator('webhook', 'add', 'dispatch', '--groups', 'patrol')).code, 2)
    })
  } finally {
    await receiver.close()
  }
})

test.run()
