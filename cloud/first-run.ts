/**
 * The first administrator: while no account exists, the cloud holds a one-time code in a file that only its own account can
 * read; who knows it makes the first administrator, and then it is gone for good. There is no default account.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { AppError } from '../shared/errors.ts'
import { readFileIfThere, removeIfThere, writeFileDurably } from '../shared/secret-file.ts'
import type { Account, Accounts } from './accounts.ts'

/** 128 bits, 22 characters to type. */
export const SETUP_CODE_BYTES = 16

export interface FirstRun {
  /** The code to print on the terminal, or null when there is an account already. */
  code(): Promise<string | null>
  /** Throws `forbidden` for a wrong code, `conflict` when set-up is over. */
  check(code: string): Promise<void>
  /** Throws as check, and `bad_input` for name or password. */
  complete(first: { code: string; account: string; password: string }): Promise<Account>
}

export function createFirstRun(deps: {
  file: string
  accounts: Accounts
  newSecret: (byteCount: number) => string
}): FirstRun {
  const { file, accounts } = deps

  async function check(code: string): Promise<void> {
    if (!(await accounts.isEmpty())) throw new AppError('conflict', 'set-up is done already')
    const right = (await readFileIfThere(file))?.trim()
    if (right === undefined || right === '' || !sameText(code.trim(), right)) {
      throw new AppError('forbidden', 'the set-up code is not right', {
        hint: 'it stands in the file `setup-code` in the data folder of the server, and on its terminal',
      })
    }
  }

  return {
    async code() {
      if (!(await accounts.isEmpty())) {
        await removeIfThere(file)
        return null
      }
      const there = (await readFileIfThere(file))?.trim()
      if (there !== undefined && there !== '') return there
      const code = deps.newSecret(SETUP_CODE_BYTES)
      await writeFileDurably(file, `${code}\n`)
      return code
    },
    check,
    async complete({ code, account, password }) {
      await check(code)
      const first = await accounts.addFirst({ account, password })
      await removeIfThere(file)
      return first
    },
  }
}

/** Compares digests, so that the time tells neither content nor length. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
