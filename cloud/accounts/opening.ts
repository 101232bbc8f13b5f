/** Builds what opens sessions, from the configuration: accounts, second factors, the agency's provider. Called by main.ts and host.ts. */
import type { Log } from '../../shared/log.ts'
import { type Accounts, createAccounts } from '../accounts.ts'
import type { CloudConfig, cloudPaths } from '../config.ts'
import type { Keys } from '../keys.ts'
import { type CliCodes, createCliCodes } from './cli-codes.ts'
import { createFactors, type Factors, type FactorsDeps } from './factors.ts'
import { createOidc, type Oidc } from './oidc.ts'

export interface Login {
  accounts: Accounts
  factors: Factors
  cliCodes: CliCodes
  /** null: the agency has no provider. */
  oidc: Oidc | null
  secondFactor: CloudConfig['secondFactor']
  passwordLogin: CloudConfig['passwordLogin']
}

export interface LoginDeps extends Omit<FactorsDeps, 'key' | 'agency'> {
  config: CloudConfig
  paths: ReturnType<typeof cloudPaths>
  newId: () => string
  keys: Pick<Keys, 'factorKey'>
  log: Log
}

/** Throws `configuration` for files that are missing. */
export async function openLogin(deps: LoginDeps): Promise<Login> {
  const { config, paths, clock, newSecret } = deps
  const { secondFactor, passwordLogin } = config
  const factors = createFactors({ ...deps, key: deps.keys.factorKey, agency: config.agency })
  const accounts = await createAccounts({ ...deps, factors, secondFactor, passwordLogin })
  let oidc: Oidc | null = null
  if (config.oidc !== undefined && paths.oidcSecretFile !== null) {
    const { oidcSecretFile: secretFile, oidcCaFile: caFile } = paths
    const isAccount = async (name: string) => (await accounts.find(name)) !== null
    oidc = await createOidc({ ...deps, config: config.oidc, secretFile, caFile, isAccount, hasFactor: factors.has })
  }
  return { accounts, factors, cliCodes: createCliCodes({ clock, newSecret }), oidc, secondFactor, passwordLogin }
}
