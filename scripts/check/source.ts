/** Reads the checkout for scripts/check.ts: every text file with, for TypeScript, its code, strings and comments told apart. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface SourceFile {
  /** From the root of the checkout, with `/`. */
  path: string
  text: string
  /** TypeScript only: the text with comments and the insides of strings as spaces; same length, same lines. */
  code: string
  /** TypeScript only: every string and template literal, with the line it starts on (from 1). */
  strings: { value: string; line: number; offset: number }[]
}

export interface Problem {
  path: string
  line: number | null
  rule: string
  problem: string
}

const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([
  'node_modules',
  'dist',
  'coverage',
  '.git',
  '.candor',
  '__pycache__',
])
const SKIPPED_FILES: ReadonlySet<string> = new Set(['package-lock.json', 'LICENSE'])
const BINARY = /\.(jpe?g|png|webp|gif|ico|onnx|pt|traineddata|gz|node|log)$/

/** Every file of the checkout, sorted; builds and packages left out. Binary files come with an empty text. */
export async function readCheckout(root: string): Promise<SourceFile[]> {
  const files: SourceFile[] = []
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) {
        if (!SKIPPED_FOLDERS.has(entry.name)) await walk(path)
      } else if (entry.isFile() && !SKIPPED_FILES.has(path)) {
        files.push(sourceFile(path, BINARY.test(path) ? '' : await readFile(join(root, path), 'utf8')))
      }
    }
  }
  await walk('')
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function sourceFile(path: string, text: string): SourceFile {
  if (!path.endsWith('.ts')) return { path, text, code: '', strings: [] }
  return { path, text, ...separate(text) }
}

export function isTest(path: string): boolean {
  return path.endsWith('.test.ts')
}

export function lineAt(text: string, offset: number): number {
  let line = 1
  for (let i = text.indexOf('\n'); i !== -1 && i < offset; i = text.indexOf('\n', i + 1)) line += 1
  return line
}

/** What may stand before a `/` that starts a regular expression and not a division. */
const BEFORE_REGEX = /(?:^|[=([{},;:!&|?+\-*%<>~^\n]|\breturn|\btypeof|\bcase|\bawait)\s*$/

/**
 * Blanks comments, strings and regular expressions out of TypeScript. A scanner of its own, since the native compiler has no
 * parser to import; it knows what this code base uses: nested templates, `//`, block comments, regular expressions with classes.
 */
function separate(text: string): Pick<SourceFile, 'code' | 'strings'> {
  const code =
    [...text].length === text.length ? text.split('') : Array.from({ length: text.length }, (_, i) => text.charAt(i))
  const strings: SourceFile['strings'] = []
  const blank = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (code[i] !== '\n') code[i] = ' '
  }
  /** Brace depth at which each open template continues. */
  const templates: number[] = []
  let depth = 0
  let at = 0

  const template = (start: number) => {
    let end = start
    while (end < text.length && text[end] !== '`' && !(text[end] === '$' && text[end + 1] === '{'))
      end += text[end] === '\\' ? 2 : 1
    strings.push({ value: text.slice(start, end), line: lineAt(text, start), offset: start })
    blank(start, end)
    if (text[end] === '`') at = end + 1
    else {
      templates.push(depth)
      depth += 1
      at = end + 2
    }
  }

  while (at < text.length) {
    const character = text[at]
    const next = text[at + 1]
    if (character === '/' && (next === '/' || next === '*')) {
      const close = next === '/' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2)
      const end = close === -1 ? text.length : next === '/' ? close : close + 2
      blank(at, end)
      at = end
    } else if (character === "'" || character === '"') {
      let end = at + 1
      while (end < text.length && text[end] !== character && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1
      strings.push({ value: text.slice(at + 1, end), line: lineAt(text, at), offset: at })
      blank(at + 1, end)
      at = end + 1
    } else if (character === '`') template(at + 1)
    else if (character === '}' && templates.at(-1) === depth - 1) {
      templates.pop()
      depth -= 1
      template(at + 1)
    } else if (character === '/' && BEFORE_REGEX.test(code.slice(Math.max(0, at - 40), at).join(''))) {
      let end = at + 1
      for (let inClass = false; end < text.length && text[end] !== '\n' && (inClass || text[end] !== '/'); end++) {
        if (text[end] === '\\') end += 1
        else if (text[end] === '[') inClass = true
        else if (text[end] === ']') inClass = false
      }
      blank(at + 1, end)
      at = end + 1
    } else {
      if (character === '{') depth += 1
      if (character === '}') depth -= 1
      at += 1
    }
  }
  return { code: code.join(''), strings }
}

export interface Import {
  /** What stands in the quotes. */
  from: string
  line: number
  /** Only types: gone at run time. */
  typeOnly: boolean
}

/** Static and dynamic imports and re-exports, with a literal specifier. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = []
  const byOffset = new Map(file.strings.map((string) => [string.offset, string]))
  const patterns = [
    /(?<=^|\n|;)\s*(?:import|export)\b(?<clause>[^;'"()]*?)\bfrom\s*(?=['"])/g,
    /(?<=^|\n|;)\s*import\s*(?=['"])/g,
    /\bimport\s*\(\s*(?=['"])/g,
  ]
  for (const pattern of patterns) {
    for (const match of file.code.matchAll(pattern)) {
      const string = byOffset.get(match.index + match[0].length)
      if (string === undefined) continue
      const clause = match.groups?.clause ?? ''
      const named = /^\s*\{(?<names>[^}]*)\}\s*$/.exec(clause)?.groups?.names
      const names = named?.split(',').filter((name) => name.trim() !== '')
      const typeOnly = /^\s*type\b/.test(clause) || names?.every((name) => /^\s*type\s/.test(name)) === true
      found.push({ from: string.value, line: string.line, typeOnly })
    }
  }
  return found.sort((a, b) => a.line - b.line)
}

/** The path that a relative specifier means, or null for a package. */
export function resolveImport(fromPath: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  const parts = fromPath.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** `@scope/name` or `name` of a package specifier. */
export function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}
