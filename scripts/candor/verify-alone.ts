/**
 * The stand-alone verifier and witness: bundled into one file, verify.mjs, which runs with bare Node anywhere. Whoever does not
 * want to trust the agency's installation runs this on what the agency published or handed over.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { verifyCopy } from '../../cloud/audit/copies.ts'
import { parseWitnessSecret } from '../../cloud/audit/note.ts'
import { openPlace } from '../../cloud/audit/place.ts'
import { checkProof } from '../../cloud/audit/proof.ts'
import { witnessLog } from '../../cloud/audit/witness.ts'
import { systemClock } from '../../shared/clock.ts'
import { describeError, EXIT, systemCode, toAppError } from '../../shared/errors.ts'
import { makeWitness, provenText, readGiven, readVerifierKey, verdictText } from './audit-verdict.ts'

const USAGE = `Checks an audit log of Candor. Needs nothing but Node.js.

  node verify.mjs COPY              an exported file, a folder of tiles, or its address
      --key KEY                     the log's verifier key or a file with it; without it the one in the copy is taken
      --since FILE                  a checkpoint, export or folder kept from before; may be repeated
      --witness KEY                 must have cosigned; may be repeated
  node verify.mjs --proof FILE --key KEY [--witness KEY]
                                    that one entry is in the log
  node verify.mjs --new-witness NAME --secret FILE
                                    makes the key of a witness and prints its public half
  node verify.mjs --cosign COPY --secret FILE --state FILE [--key KEY] [--out FILE]
                                    looks at the log, and cosigns it if it continues what was seen before
      --ca FILE                     the authority of the server's certificate, if no public one
      --json                        for machines

Exit: 0 it is whole, 1 it is not, 2 wrong usage.
`

const options = {
  key: { type: 'string' },
  since: { type: 'string', multiple: true },
  witness: { type: 'string', multiple: true },
  proof: { type: 'string' },
  cosign: { type: 'string' },
  'new-witness': { type: 'string' },
  secret: { type: 'string' },
  state: { type: 'string' },
  out: { type: 'string' },
  ca: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

function usage(problem: string): number {
  process.stderr.write(`${problem}\n\n${USAGE}`)
  return EXIT.usage
}

async function run(): Promise<number> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [where] = positionals
  const say = (json: unknown, text: string) =>
    process.stdout.write(values.json === true ? `${JSON.stringify(json)}\n` : text)
  const key = values.key === undefined ? null : readVerifierKey(values.key)
  const witnesses = (values.witness ?? []).map(readVerifierKey)
  const caPem = values.ca === undefined ? null : readGiven(values.ca)
  const newWitness = values['new-witness']
  if (values.help === true) {
    process.stdout.write(USAGE)
    return EXIT.done
  }
  if (newWitness !== undefined) {
    if (values.secret === undefined) return usage('--new-witness needs --secret FILE')
    const made = makeWitness(newWitness, values.secret)
    say({ key: made }, `${made}\n`)
    return EXIT.done
  }
  if (values.proof !== undefined) {
    if (key === null) return usage('--proof needs --key KEY: a proof cannot vouch for its own key')
    const proven = checkProof(readGiven(values.proof), key, witnesses)
    say({ ok: true, ...proven }, provenText(proven))
    return EXIT.done
  }
  if (values.cosign !== undefined) {
    const { secret, state } = values
    if (secret === undefined || state === undefined) return usage('--cosign needs --secret FILE and --state FILE')
    const done = await witnessLog({
      place: openPlace(values.cosign, caPem),
      signer: parseWitnessSecret(readGiven(secret)),
      stateFile: state,
      key,
      nowMs: systemClock.nowMs(),
    })
    if (values.out !== undefined) writeFileSync(values.out, done.note)
    say(done, values.out === undefined ? done.note : `${done.origin}: ${done.size} entries, ${done.before} before.\n`)
    return EXIT.done
  }
  if (where === undefined || positionals.length > 1) return usage('say which copy to check')
  const verdict = await verifyCopy({ where, key, since: values.since ?? [], witnesses, caPem })
  say(verdict, verdictText(verdict))
  return verdict.ok ? EXIT.done : EXIT.failed
}

try {
  process.exitCode = await run()
} catch (thrown) {
  if (systemCode(thrown)?.startsWith('ERR_PARSE_ARGS') === true) {
    process.exitCode = usage(toAppError(thrown).message)
  } else {
    process.stderr.write(`${describeError(thrown)}\n`)
    process.exitCode = toAppError(thrown).code === 'configuration' ? EXIT.configuration : EXIT.failed
  }
}
