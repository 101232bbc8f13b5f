/** What commands share on the terminal: tables, ages, and passwords that are not shown. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { AppError } from '../../shared/errors.ts'
import { readPasswordFile } from './client.ts'

/** What would move the cursor, change colours or hide text on a terminal is shown as its number: names of files come from anywhere. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (mark) => {
    const number = (mark.codePointAt(0) ?? 0).toString(16)
    return number.length <= 2 ? `\\x${number.padStart(2, '0')}` : `\\u{${number}}`
  })
}

/** Columns as wide as their widest cell, two spaces apart. */
export function table(header: readonly string[], cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map(printable))
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return [header, ...rows].map((cells) => `${line(cells)}\n`).join('')
}

/** `3 d 4 h`, `12 min`, `8 s`. */
export function age(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

export function time(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')
}

/** When a vehicle was seen, marked when it is the time at which the cloud received it: the camera's clock was not trusted. */
export function seenTime(seenAtMs: number, clockTrusted: boolean): string {
  return `${time(seenAtMs)}${clockTrusted ? '' : ' (received)'}`
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

/** From the file when one is named, else asked for without showing it; a new one is asked for twice. `option` names the file. */
export async function readPassword(
  file: string | undefined,
  kind: 'known' | 'new',
  label = 'Password',
  option = '--password-file',
): Promise<string> {
  if (file !== undefined) return readPasswordFile(file)
  if (!process.stdin.isTTY) {
    const what = `${label.charAt(0).toLowerCase()}${label.slice(1)}`
    throw new AppError('bad_input', `no terminal to ask on: ${what}`, { hint: `name a file with ${option}` })
  }
  const first = await ask(`${label}: `)
  if (kind === 'new' && (await ask(`${label} again: `)) !== first) throw new AppError('bad_input', 'the two differ')
  return first
}

function ask(question: string): Promise<string> {
  process.stderr.write(question)
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true })
  return new Promise((resolve, reject) => {
    lines.once('line', (line) => {
      lines.close()
      process.stderr.write('\n')
      resolve(line)
    })
    lines.once('SIGINT', () => {
      lines.close()
      reject(new AppError('bad_input', 'broken off'))
    })
  })
}
