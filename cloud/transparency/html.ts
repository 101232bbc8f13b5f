/**
 * A report as one page that needs no script, and no style to be read: headings, paragraphs, lists, and tables with captions and scopes
 * [WCAG 2.2, 1.3.1]. Contrast of each pair of colours is at least 7:1 [1.4.6], by day, by night and on paper. Pure.
 */
import { FILES, type FigureShown, inWords, type Report, type Section, type TableShown, type Value } from './document.ts'

const STYLE = `
:root { color-scheme: light dark; --ground: #ffffff; --ink: #16191d; --soft: #454c55; --line: #8a929c; --band: #f1f3f5; --link: #0b3d91; }
@media (prefers-color-scheme: dark) { :root { --ground: #121417; --ink: #f0f2f4; --soft: #c2c8d0; --line: #6c7580; --band: #1c2025; --link: #a9c9ff; } }
* { box-sizing: border-box; }
html { background: var(--ground); }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink); font: 1.0625rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 2.75rem 0 .5rem; padding-top: 1rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p { max-width: 42rem; }
a { color: var(--link); }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.wide { overflow-x: auto; }
.wide:focus-visible { outline: 3px solid var(--link); }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 .25rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 700; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
tbody th { font-weight: 600; }
td.number { white-space: nowrap; font-weight: 700; }
td.day { white-space: nowrap; }
.figures caption { color: var(--soft); font-size: .9375rem; font-weight: 400; }
.source { display: block; }
@media (max-width: 36rem) { .figures, .figures caption, .figures tbody { display: block; } .figures thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; } .figures tr { display: grid; grid-template-columns: 1fr auto; column-gap: .75rem; border-top: 1px solid var(--line); padding: .45rem 0; } .figures th, .figures td { border: 0; padding: 0; } .figures td:last-child { grid-column: 1 / -1; } }
@media (min-width: 48rem) { thead th:first-child { width: 17rem; } .figures thead th:nth-child(2) { width: 11rem; } }
.note, .source { color: var(--soft); font-size: .9375rem; }
.draft { border: 3px solid var(--ink); padding: .75rem 1rem; font-weight: 700; }
code { overflow-wrap: anywhere; }
pre { margin: .5rem 0; }
li { max-width: 42rem; margin: .2rem 0; }
@media print { :root { --ground: #fff; --ink: #000; --soft: #222; --line: #777; --link: #000; } body { max-width: none; padding: 0; font-size: 10.5pt; } table, h2 { break-inside: avoid; } h2, h3, caption { break-after: avoid; } nav { display: none; } }
`

const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (mark) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[mark] ?? '&#39;')

/** The whole document around `body`. */
export function pageOf(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body}
</body>
</html>
`
}

export function toHtml(report: Report): string {
  const { agency, period, sections } = report
  const title = `Licence-plate readers of ${agency}: ${period.from} to ${period.to}`
  const contents = sections.map(({ id, title: name }) => `<li><a href="#${id}">${escaped(name)}</a></li>`).join('\n')
  return pageOf(
    title,
    `<header>
<h1>${escaped(title)}</h1>
${report.reportId === null ? '<p class="draft">Draft: nobody has published this.</p>' : ''}
<p>How the automated licence-plate readers of this agency were used in these ${period.days} days (UTC), what they record, and what is done so that they are not misused.</p>
${report.corrects.length === 0 ? '' : `<p>This corrects report ${report.corrects.join(', ')} of the same period, which stays published.</p>`}
</header>
<nav aria-label="Contents">
<ul>
${contents}
</ul>
</nav>
<main>
${sections.map(sectionOf).join('\n')}
${provenance(report)}
</main>`,
  )
}

function sectionOf({ id, title, paragraphs, figures, tables, lists }: Section): string {
  return `<section aria-labelledby="${id}">
<h2 id="${id}">${escaped(title)}</h2>
${paragraphs.map((text) => `<p>${escaped(text)}</p>`).join('\n')}
${figures.length === 0 ? '' : figuresOf(title, figures)}
${tables.map(tableOf).join('\n')}
${lists.map(({ title: name, points }) => `<h3>${escaped(name)}</h3>\n<ul>\n${points.map((point) => `<li>${escaped(point)}</li>`).join('\n')}\n</ul>`).join('\n')}
</section>`
}

/** May be scrolled with the keyboard where a screen is narrow [WCAG 2.1.1]. */
const scrolled = (label: string, table: string) =>
  `<div class="wide" role="region" aria-label="${escaped(label)}" tabindex="0">\n${table}\n</div>`

/** The roles are said, as a narrow screen lays its rows out as no table, and a reader of the screen would else lose it [WCAG 2.2, 1.3.1]. */
function figuresOf(title: string, figures: readonly FigureShown[]): string {
  const rows = figures.map(
    ({ label, value, explanation, source }) =>
      `<tr role="row"><th scope="row" role="rowheader">${escaped(label)}</th><td class="number" role="cell">${escaped(inWords(value))}</td><td role="cell">${escaped(explanation)}. <span class="source">Source: ${escaped(source)}.</span></td></tr>`,
  )
  return scrolled(
    `${title}: figures`,
    `<table class="figures" role="table">
<caption>${escaped(title)}: figures</caption>
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">Figure</th><th scope="col" role="columnheader">Value</th><th scope="col" role="columnheader">What it means</th></tr></thead>
<tbody role="rowgroup">
${rows.join('\n')}
</tbody>
</table>`,
  )
}

function tableOf({ caption, head, rows, explanation, source, withheld }: TableShown): string {
  const note = `<p class="note">${escaped(caption)}: ${escaped(explanation)}. Source: ${escaped(source)}.</p>`
  if (rows.length === 0)
    return `<h3>${escaped(caption)}</h3>\n<p>${escaped(withheld ?? 'None in this period.')}</p>\n${note}`
  const body = rows.map(
    ({ label, values }) => `<tr><th scope="row">${escaped(label)}</th>${values.map(cell).join('')}</tr>`,
  )
  const table = `<table>
<caption>${escaped(caption)}</caption>
<thead><tr>${head.map((name) => `<th scope="col">${escaped(name)}</th>`).join('')}</tr></thead>
<tbody>
${body.join('\n')}
</tbody>
</table>`
  return `${scrolled(caption, table)}\n${note}`
}

const cell = (value: Value) => `<td class="number">${escaped(inWords(value))}</td>`

function provenance({ reportId, generatedAt, audit, policyVersion }: Report): string {
  const files =
    reportId === null
      ? ''
      : `<p>The same figures as <a href="${FILES.json}">JSON</a> and as <a href="${FILES.csv}">CSV</a>, and the <a href="${FILES.manifest}">signed manifest</a> with the digests of these files.</p>`
  return `<section aria-labelledby="provenance">
<h2 id="provenance">Where this comes from</h2>
<p>Made by Candor at <time datetime="${generatedAt}">${generatedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}</time> under version ${policyVersion} of the policy, when the log of use had ${audit.entries} entries. Together they make the number <code>${escaped(audit.root)}</code>, and the log’s key has signed that. Keep the lines below as a file: <code>candor audit verify</code> with <code>--since</code> and that file tells whether a copy of the log still has every entry that it had then.</p>
${scrolled('Checkpoint', `<pre>${escaped(audit.checkpoint)}</pre>`)}
${files}
</section>`
}

/** All published reports, newest first. */
export function indexPage(
  agency: string,
  reports: readonly { reportId: number; from: string; to: string; madeAt: string }[],
): string {
  const title = `Licence-plate readers of ${agency}: published reports`
  const rows = reports.map(
    ({ reportId, from, to, madeAt }) =>
      `<tr><th scope="row"><a href="reports/${reportId}/">${from} to ${to}</a></th><td>${reportId}</td><td class="day">${madeAt}</td></tr>`,
  )
  const table = `<table>
<caption>Reports, newest first; a later one of the same period corrects an earlier one</caption>
<thead><tr><th scope="col">Period</th><th scope="col">Report</th><th scope="col">Published</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>`
  return pageOf(title, `<main>\n<h1>${escaped(title)}</h1>\n${rows.length === 0 ? '<p>None yet.</p>' : table}\n</main>`)
}
