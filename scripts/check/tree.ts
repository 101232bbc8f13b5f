/**
 * The tree in README.md is the real tree. It is the first fenced block under `## Architecture`, a line an entry:
 * `path  description`, path from the root, two spaces or more before the description; a folder's path ends in `/`.
 * A folder of which something is listed lists all of it (tests left out); a folder of which nothing is listed stands for all of it.
 */
import { isTest, type Problem, type SourceFile } from './source.ts'

export interface TreeEntry {
  path: string
  description: string
  line: number
}

/** The entries of the block; null when there is no such block. */
export function parseTree(readme: string): TreeEntry[] | null {
  const lines = readme.split('\n')
  const heading = lines.findIndex((line) => /^## Architecture\s*$/.test(line))
  if (heading === -1) return null
  const open = lines.findIndex((line, i) => i > heading && line.startsWith('```'))
  const close = lines.findIndex((line, i) => i > open && line.startsWith('```'))
  if (open === -1 || close === -1) return null
  return lines.slice(open + 1, close).flatMap((line, i) => {
    if (line.trim() === '') return []
    const [path = '', description = ''] = line.trim().split(/\s{2,}(.*)/)
    return [{ path, description, line: open + i + 2 }]
  })
}

export function readmeTree(files: readonly SourceFile[]): Problem[] {
  const readme = files.find((file) => file.path === 'README.md')
  const problem = (line: number | null, text: string): Problem => ({
    path: 'README.md',
    line,
    rule: 'README tree',
    problem: text,
  })
  const entries = parseTree(readme?.text ?? '')
  if (entries === null) return [problem(null, 'no fenced block under "## Architecture"')]
  const paths = files
    .map((file) => file.path)
    .filter((path) => !isTest(path) && !path.split('/').some((name) => name.startsWith('.')))
  const listed = new Set(entries.map((entry) => entry.path))
  const problems: Problem[] = []
  for (const { path, description, line } of entries) {
    const there = path.endsWith('/') ? paths.some((real) => real.startsWith(path)) : paths.includes(path)
    if (!there) problems.push(problem(line, `${path} does not exist`))
    if (description === '') problems.push(problem(line, `${path} has no description`))
  }
  // Folders that are opened: something in them is listed. The root always is.
  const opened = new Set([''])
  for (const path of listed) opened.add(parentOf(path))
  for (const folder of [...opened]) {
    for (let parent = folder; parent !== ''; parent = parentOf(parent)) opened.add(parentOf(parent))
  }
  for (const folder of opened) {
    for (const child of childrenOf(folder, paths)) {
      if (!listed.has(child) && !opened.has(child)) problems.push(problem(null, `${child} is not listed`))
    }
  }
  return problems
}

/** `a/b/c.ts` → `a/b/`, `a/b/` → `a/`, `a/` → ``. */
function parentOf(path: string): string {
  return path.replace(/[^/]+\/?$/, '')
}

function childrenOf(folder: string, paths: readonly string[]): Set<string> {
  const inside = paths.filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length))
  return new Set(inside.map((path) => folder + path.replace(/\/.*$/, '/')))
}
