/** What the tests of the API share: the real cloud in a throw-away folder, called over HTTPS by people of any role. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { createLog } from '../../shared/log.ts'
import { cloudConfigSchema } from '../config.ts'
import { type RunningCloud, runCloud } from '../main.ts'
import type { Role } from '../permissions.ts'

export const PASSWORD = 'a heron stands in the reeds'

export interface Reply {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: replies of many shapes are looked into field by field
  json: any
}

export interface Call {
  token?: string
  json?: unknown
  text?: string
  type?: string
}

export interface World {
  cloud: RunningCloud
  logLines: string[]
  folder: string
  call(method: string, path: string, options?: Call): Promise<Reply>
  /** A session of a new account with these roles, made past the API. */
  as(...roles: Role[]): Promise<string>
}

/** Calls to this cloud over HTTPS. */
export const callerOf =
  (cloud: RunningCloud): World['call'] =>
  (method, path, options = {}) =>
    new Promise((resolve, reject) => {
      const body = options.json !== undefined ? JSON.stringify(options.json) : options.text
      const type = options.type ?? (options.json !== undefined ? 'application/json' : undefined)
      const outgoing = httpsRequest(
        {
          host: '127.0.0.1',
          port: cloud.httpsPort,
          servername: 'localhost',
          ca: cloud.caPem,
          agent: false,
          method,
          path,
          headers: {
            ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
            ...(type === undefined ? {} : { 'content-type': type }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('end', () => {
            const bytes = Buffer.concat(chunks)
            const isJson = (incoming.headers['content-type'] ?? '').includes('json')
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: bytes,
              json: isJson && bytes.length > 0 ? JSON.parse(bytes.toString()) : null,
            })
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })

export async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-api-'))
  const logLines: string[] = []
  const config = cloudConfigSchema.parse({
    agency: 'springfield',
    dataFolder: 'data',
    host: '127.0.0.1',
    mqttPort: 0,
    httpsPort: 0,
    secondFactor: 'optional',
    logLevel: 'debug',
  })
  const log = createLog({ level: 'debug', part: 'cloud', target: { write: (line) => logLines.push(line) } })
  const cloud = await runCloud(config, folder, { log })
  let accounts = 0
  const world: World = {
    cloud,
    logLines,
    folder,
    call: callerOf(cloud),
    async as(...roles) {
      accounts += 1
      const account = `person-${accounts}`
      await cloud.parts.accounts.add({ account, password: PASSWORD, by: 'test', roles, groups: ['patrol'] })
      const result = await cloud.parts.accounts.login({ account, password: PASSWORD, source: 'test' })
      assert.ok(result.ok)
      return result.ok ? result.token : ''
    },
  }
  try {
    await work(world)
  } finally {
    await cloud.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function audited(world: World, count = 50) {
  return world.cloud.parts.audit.list({ before: null, limit: count })
}
