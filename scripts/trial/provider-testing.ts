/**
 * An agency's OpenID Connect provider for tests, in a process of its own: the package `oidc-provider` over HTTPS. Its log-in page
 * asks for a name and no password: `/interaction/ID/as?name=…&amr=…` says who comes back and how they proved it,
 * `ts=…` when, in seconds.
 * `node --import tsx scripts/trial/provider-testing.ts CONFIG.json` prints a line when it listens.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import Provider from 'oidc-provider'
import { z } from 'zod'

const configuration = z
  .object({
    port: z.number(),
    keyPem: z.string(),
    certPem: z.string(),
    clientId: z.string(),
    clientSecret: z.string(),
    redirectUri: z.string(),
    /** `preferred_username` of each subject. */
    people: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')))

const issuer = `https://localhost:${configuration.port}`
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: configuration.clientId,
      client_secret: configuration.clientSecret,
      redirect_uris: [configuration.redirectUri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  acrValues: ['strong'],
  claims: { openid: ['sub', 'amr', 'acr'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['a key of the tests'] },
  features: { devInteractions: { enabled: false } },
  pkce: { required: () => true },
  interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
  findAccount: (_context: unknown, accountId: string) => ({
    accountId,
    claims: () => ({ sub: accountId, preferred_username: configuration.people[accountId] }),
  }),
})
const answer = provider.callback()

createServer({ key: configuration.keyPem, cert: configuration.certPem }, (request, response) => {
  const url = new URL(request.url ?? '/', issuer)
  const [, root, uid, verb] = url.pathname.split('/')
  if (root !== 'interaction') return answer(request, response)
  if (verb === undefined) {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(
      `<form action="/interaction/${uid}/as"><input name="name"><input name="amr"><button>Log in</button></form>`,
    )
    return
  }
  finish(url.searchParams).catch((thrown: unknown) => {
    response.statusCode = 500
    response.end(String(thrown))
  })

  async function finish(form: URLSearchParams): Promise<void> {
    const { prompt, params, session } = await provider.interactionDetails(request, response)
    if (form.get('name') === 'refuse') {
      return provider.interactionFinished(request, response, { error: 'access_denied' })
    }
    if (prompt.name === 'login') {
      const amr = (form.get('amr') ?? '').split(',').filter((one) => one !== '')
      const ts = form.has('ts') ? { ts: Number(form.get('ts')) } : {}
      const login = {
        accountId: form.get('name') ?? '',
        amr,
        acr: form.get('acr') ?? undefined,
        remember: false,
        ...ts,
      }
      return provider.interactionFinished(request, response, { login })
    }
    const grant = new provider.Grant({ accountId: session?.accountId ?? '', clientId: String(params.client_id) })
    grant.addOIDCScope('openid profile')
    grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? [])
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
  }
}).listen(configuration.port, '127.0.0.1', () => process.stdout.write('listening\n'))
