/** What the tests of webhooks share: a real receiver over HTTP, and a cloud with a camera whose every sighting raises an alert. */
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { CloudDeps } from '../main.ts'
import { eachAlone, inCloud, makeSighting, publishSighting, type TestCloud } from '../testing.ts'
import type { WebhookState } from '../webhooks.ts'
import { parseWebhookUrl } from './address.ts'

export interface Delivery {
  headers: IncomingHttpHeaders
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: bodies of several shapes are looked into field by field
  json: any
}

export interface Receiver {
  readonly url: string
  /** Everything that has come, whatever it was answered. */
  readonly got: Delivery[]
  /** How the next ones are answered; a number is a status. */
  answer: number | ((to: ServerResponse, delivery: Delivery) => void)
  close(): Promise<void>
  /** Listens again, on the same port. */
  reopen(): Promise<void>
}

export async function openReceiver(): Promise<Receiver> {
  const got: Delivery[] = []
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const delivery = { headers: incoming.headers, text, json: JSON.parse(text) }
      got.push(delivery)
      if (typeof receiver.answer === 'number') outgoing.writeHead(receiver.answer).end()
      else receiver.answer(outgoing, delivery)
    })
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/hook/token-in-the-path`,
    got,
    answer: 200,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    reopen: () => listen(port),
  }
  return receiver
}

/** As the README tells receivers to. */
export function isSigned({ headers, text }: Delivery, secret: string): boolean {
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['candor-signature'])) ?? []
  return v1 === createHmac('sha256', secret).update(`${t}.${text}`).digest('hex')
}

export interface HookedCloud extends TestCloud {
  /** Raises an alert of group patrol; returns its sighting's id. */
  raise(): Promise<string>
  /** Adds it for group patrol unless told otherwise; returns its secret. */
  addHook(webhook: string, url: string, change?: { groups?: string[]; includePlate?: boolean }): Promise<string>
  state(webhook: string): Promise<WebhookState>
}

export const PLATE = 'ABC1230'
const CAMERA = 'elm-st-1'

export async function withHooks(work: (world: HookedCloud) => Promise<void>, more: CloudDeps = {}): Promise<void> {
  await inCloud(
    async (world) => {
      await world.importList('stolen', [PLATE])
      await eachAlone(world)
      const certified = await world.addCamera(CAMERA)
      await work(
        Object.assign(world, {
          async raise() {
            const camera = await world.connectCamera(CAMERA, certified)
            const sighting = makeSighting(world.clock)
            await publishSighting(camera, sighting)
            await camera.endAsync()
            return sighting.sightingId
          },
          async addHook(webhook: string, url: string, change = {}) {
            const hook = {
              webhook,
              url: parseWebhookUrl(url),
              groups: ['patrol'],
              includePlate: false,
              notices: [],
              by: 'paula',
            }
            return (await world.cloud.parts.webhooks.add({ ...hook, ...change })).secret
          },
          async state(webhook: string) {
            const found = (await world.cloud.parts.webhooks.list()).find((one) => one.webhook === webhook)
            if (found === undefined) throw new Error(`no webhook ${webhook}`)
            return found
          },
        }),
      )
    },
    {},
    {},
    undefined,
    more,
  )
}
