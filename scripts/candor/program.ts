/** Every command with its options, as commander has them; started by scripts/candor.ts, walked by tests. */
import { Command } from 'commander'
import { softwareVersion } from '../../shared/version.ts'
import { register as registerAccount } from './account.ts'
import { register as registerAlert } from './alert.ts'
import { register as registerAudit } from './audit.ts'
import { register as registerAuditTrace } from './audit-trace.ts'
import { register as registerBackup } from './backup.ts'
import { register as registerBench } from './bench.ts'
import { register as registerCamera } from './camera.ts'
import { register as registerCloud } from './cloud.ts'
import { register as registerContract } from './contract.ts'
import { register as registerDoctor } from './doctor.ts'
import { register as registerEdge } from './edge.ts'
import { register as registerEnrolUnit } from './enrol-unit.ts'
import { register as registerFactor } from './factor.ts'
import { register as registerGrant } from './grant.ts'
import { register as registerHold } from './hold.ts'
import { register as registerHotlist } from './hotlist.ts'
import { register as registerLogin } from './login.ts'
import { register as registerPartner } from './partner.ts'
import { register as registerPolicy } from './policy.ts'
import { register as registerRead } from './read.ts'
import { register as registerRelease } from './release.ts'
import { register as registerReview } from './review.ts'
import { register as registerRollOut } from './roll-out.ts'
import { register as registerSearch } from './search.ts'
import { register as registerSetup } from './setup.ts'
import { register as registerSimulate } from './simulate.ts'
import { register as registerTransparency } from './transparency.ts'
import { register as registerWebhook } from './webhook.ts'

/** In the order in which a newcomer meets them; `--help` prints them so. */
const REGISTRATIONS = [
  registerRead,
  registerEdge,
  registerEnrolUnit,
  registerSetup,
  registerCloud,
  registerLogin,
  registerFactor,
  registerAccount,
  registerCamera,
  registerRelease,
  registerRollOut,
  registerPolicy,
  registerHotlist,
  registerAlert,
  registerWebhook,
  registerSearch,
  registerHold,
  registerPartner,
  registerGrant,
  registerAudit,
  registerAuditTrace,
  registerReview,
  registerTransparency,
  registerBackup,
  registerContract,
  registerDoctor,
  registerBench,
  registerSimulate,
]

export function createProgram(): Command {
  const program = new Command('candor')
    .description('Licence-plate reading that can prove to outsiders how it is used')
    .version(softwareVersion())
    // `policy show --version 3` asks for a version of the policy.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for the options)')
    .exitOverride()
  for (const register of REGISTRATIONS) register(program)
  program.addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 usage, 78 configuration.')
  return program
}
