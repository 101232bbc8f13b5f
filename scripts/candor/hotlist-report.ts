/** The report of an import, for people: what was read, what is wrong with it, what it changes, and how to apply it. Called by hotlist.ts. */
import type { ImportReply } from '../../cloud/api/list-imports.ts'
import { printable, table } from './terminal.ts'

/** `command`: what was called, without `--dry-run`; see `applyCommand`. */
export function describeReport(report: ImportReply, command: readonly string[], isDryRun: boolean): string {
  const sections = [columnsOf(report), problemsOf(report), countsOf(report)]
  if (!report.unusable) sections.push(differenceOf(report))
  sections.push(outcomeOf(report, command, isDryRun))
  return sections.filter((section) => section !== '').join('\n')
}

function columnsOf({ mapping, columns, leftOutColumns, unknownColumns }: ImportReply): string {
  if (columns.length === 0) return ''
  const names = (all: readonly string[]) => all.map(printable).join(', ')
  return [
    `Read by ${mapping === null ? 'the names in its header row' : `the mapping ${mapping}`}:\n`,
    table(
      ['  column', 'taken as'],
      columns.map(({ column, field }) => [`  ${column}`, field]),
    ),
    leftOutColumns.length === 0 ? '' : `Columns left out: ${names(leftOutColumns)}.\n`,
    unknownColumns.length === 0 ? '' : `Columns not known, and left out: ${names(unknownColumns)}.\n`,
  ].join('')
}

function problemsOf({ problems, problemKinds, bad }: ImportReply): string {
  if (problems.length === 0) return ''
  const kinds =
    problemKinds.length === 0
      ? ''
      : table(
          ['  rows', 'problem'],
          [...problemKinds].sort((a, b) => b.rows - a.rows).map(({ problem, rows }) => [`  ${rows}`, problem]),
        )
  const lines = problems.map(({ line, problem }) => `  ${line === null ? problem : `line ${line}: ${problem}`}\n`)
  const named = problems.filter(({ line }) => line !== null).length
  const unnamed = Math.max(0, bad - named)
  return `Problems:\n${kinds}${lines.join('')}${unnamed > 0 ? `  and ${unnamed} more\n` : ''}`
}

function countsOf({ rows, good, bad, prohibited, patterns }: ImportReply): string {
  const dropped = prohibited === 0 ? '' : `, ${prohibited} of a prohibited category dropped`
  const wild = patterns === 0 ? '' : ` (${patterns} of them patterns, which the cloud alone matches)`
  return `${rows} rows: ${good} good${wild}, ${bad} bad${dropped}.\n`
}

function differenceOf({ difference: { added, unchanged, changed, removed, ended } }: ImportReply): string {
  const over = ended === 0 ? '' : ` (${ended} over by their dates)`
  return `Beside what is in force: ${added} added, ${removed} removed, ${changed} changed${over}, ${unchanged} unchanged.\n`
}

function outcomeOf(report: ImportReply, command: readonly string[], isDryRun: boolean): string {
  if (report.applied) return `${report.list} is at version ${report.version} with ${report.good} entries.\n`
  const nothing = `Nothing applied: ${report.notApplied}.\n`
  const apply = isDryRun ? applyCommand(report, command) : null
  if (apply === null) return nothing
  const second = report.needsApproval ? ' (most of the list would go: a second person must approve it then)' : ''
  return `${nothing}To apply it${second}:\n  ${apply}\n`
}

/** The command that takes the file as the dry run saw it; null when none would. */
function applyCommand({ unusable, bad, good, notApplied }: ImportReply, command: readonly string[]): string | null {
  if (unusable || notApplied?.startsWith('more than ') === true) return null
  const more = [
    ...(bad > 0 && !command.includes('--skip-bad') ? ['--skip-bad'] : []),
    ...(good === 0 && !command.includes('--allow-empty') ? ['--allow-empty'] : []),
  ]
  return [...command, ...more].map(quoted).join(' ')
}

/** For a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${printable(word).replaceAll("'", "'\\''")}'`
}
