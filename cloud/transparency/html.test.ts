import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { policySchema } from '../../shared/wire/policy.ts'
import { toCsv } from './csv.ts'
import type { Report, Section, Value } from './document.ts'
import { toHtml } from './html.ts'
import { askingSection, lasting, usesSection } from './texts.ts'

const HOSTILE = '<script>alert(1)</script> "quoted" & =SUM(A1)'

const section = (id: string, rest: Partial<Section>): Section => ({
  ...{ id, title: `About ${id}`, paragraphs: [], figures: [], tables: [], lists: [] },
  ...rest,
})
const told = { explanation: 'what it is', source: 'where it is from' }
const figure = (id: string, value: Value) => ({ ...told, id, label: `Label of ${id}`, value, unit: '' })

function report(sections: Section[], reportId: number | null = 7): Report {
  return {
    ...{ kind: 'candor-transparency-report', agency: 'springfield', reportId, corrects: [] },
    period: { from: '2026-10-01', to: '2026-10-31', days: 31 },
    ...{ generatedAt: '2026-11-01T00:05:00.000Z', policyVersion: 3, smallCount: 5 },
    ...{ audit: { entries: 1_234, root: 'q6s=', checkpoint: `springfield\n1234\nq6s=\n\n${HOSTILE}\n` }, sections },
  }
}

const SECTIONS = [
  section('traffic', {
    figures: [
      figure('vehicles', { count: 2_077_502 }),
      figure('few', { fewerThan: 5 }),
      figure('rate', { rate: 0.25, low: 0.1, high: 0.5 }),
    ],
    tables: [
      {
        ...told,
        id: 'lists',
        caption: 'By list',
        head: ['List', 'Hits'],
        withheld: null,
        rows: [{ label: HOSTILE, values: [{ withheld: true }] }],
      },
      { ...told, id: 'none', caption: 'Nothing', head: ['List', 'Hits'], withheld: null, rows: [] },
    ],
  }),
  section('words', { paragraphs: [HOSTILE], lists: [{ title: 'Points', points: [HOSTILE] }] }),
]

test('the page says its language, has one heading of each rank after another, and every table a caption and scopes', () => {
  const html = toHtml(report(SECTIONS))
  assert.match(html, /^<!doctype html>\n<html lang="en">/)
  const ranks = [...html.matchAll(/<h([1-6])/g)].map(([, rank]) => Number(rank))
  assert.is(ranks[0], 1)
  assert.is(ranks.filter((rank) => rank === 1).length, 1)
  for (const [index, rank] of ranks.entries()) assert.ok(rank - (ranks[index - 1] ?? 0) <= 1, `rank ${rank}`)
  const tables = html.split('<table').slice(1)
  assert.is(tables.length, 2)
  for (const table of tables) {
    assert.match(table, /^[^<]*>\n<caption>[^<]+<\/caption>\n<thead(?: role="rowgroup")?>/)
    assert.not.match(table, /<th(?! scope="(?:row|col)")[ >]/)
    const rows = table.split(/<tr(?: role="row")?>/).slice(1)
    for (const row of rows) assert.match(row, /^<th scope="(?:row|col)"/)
    // Laid out otherwise on a narrow screen, it is still a table to who hears it.
    if (table.startsWith(' class="figures"')) {
      assert.match(table, /^ class="figures" role="table">/)
      assert.not.match(table, /<(?:thead|tbody|tr|th|td)(?![^>]* role=)[ >]/)
    }
  }
  for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) assert.ok(html.includes(`id="${target}"`))
  assert.not.match(html, /<script|<img|<iframe|http:|https:|style="|onload/)
})

test('whatever a list, a purpose or a contact is called, it is shown as text', () => {
  const html = toHtml(report(SECTIONS))
  assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt; &quot;quoted&quot; &amp; =SUM(A1)'))
  const csv = toCsv(report([section('a', { figures: [{ ...figure('b', { text: '=1+1' }), label: '@x, "y"' }] })]))
  assert.is(csv.split('\r\n')[1], `a,b,,"'@x, ""y""",'=1+1,,,text,what it is,where it is from`)
})

test('values are the same on the page and in the table, and a small one has no value at all', () => {
  const html = toHtml(report(SECTIONS))
  for (const words of [
    '2,077,502',
    'fewer than 5',
    '25.00 % (10.00 % to 50.00 %)',
    'not shown',
    'None in this period.',
  ]) {
    assert.ok(html.includes(words), words)
  }
  const lines = toCsv(report(SECTIONS)).split('\r\n')
  assert.match(lines[1] ?? '', /^traffic,vehicles,,Label of vehicles,2077502,,,count,/)
  assert.match(lines[2] ?? '', /^traffic,few,,Label of few,,,5,fewer than,/)
  assert.match(lines[3] ?? '', /^traffic,rate,,Label of rate,0\.25,0\.1,0\.5,rate,/)
})

test('a draft says that it is one', () => {
  assert.match(toHtml(report(SECTIONS, null)), /Draft: nobody has published this/)
  assert.not.match(toHtml(report(SECTIONS)), /Draft/)
})

/** Contrast ratio of two colours [WCAG 2.2, relative luminance]. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const whole = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit).join('') : colour.slice(1)
    const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) => {
      const share = Number.parseInt(whole.slice(at, at + 2), 16) / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

test('each text stands out from its ground by day, by night and on paper', () => {
  assert.is(Math.round(contrast('#000000', '#ffffff')), 21)
  const palettes = [...toHtml(report(SECTIONS)).matchAll(/:root \{([^}]*)\}/g)].map(([, body = '']) =>
    Object.fromEntries([...body.matchAll(/--(\w+): (#\w+)/g)].map(([, name, colour]) => [name, colour ?? ''])),
  )
  assert.is(palettes.length, 3)
  for (const { ground = '', ink = '', soft = '', link = '', line = '' } of palettes) {
    for (const text of [ink, soft, link]) assert.ok(contrast(text, ground) >= 7, `${text} on ${ground}`)
    assert.ok(contrast(line, ground) >= 3, `${line} on ${ground}`)
  }
})

test('the texts follow the policy', () => {
  const policy = policySchema.parse({
    ...{ agency: 'springfield', version: 1, issuedAtMs: 1_764_000_000_000, upload: 'all' },
    retention: { unmatchedDays: 21, matchedDays: 30, cropDays: 30, quarantineDays: 7 },
    uses: {
      purposes: [{ code: 'investigation', label: 'Criminal investigation' }],
      prohibited: [{ code: 'protest', label: 'Watching protests', words: ['protest'] }],
    },
    search: { scopes: [{ role: 'partner', maxAgeDays: 7, purposes: [], patterns: false, exports: false }] },
    publication: { contact: 'records@example.org' },
  })
  const points = usesSection(policy).lists.flatMap((list) => list.points)
  assert.ok(points.includes('Another agency, under a grant that names it, searches what was seen in the last 7 days.'))
  assert.ok(points.includes('Criminal investigation.'))
  assert.ok(points.includes('Watching protests; searches that name it are refused.'))
  assert.ok(points.some((point) => point.startsWith('Immigration enforcement')))
  assert.ok(askingSection(policy).paragraphs.includes('Ask: records@example.org'))
  assert.equal([3 / 1_440, 1 / 24, 1, 21, 1_096].map(lasting), ['3 minutes', '1 hour', '1 day', '21 days', '1096 days'])
})

test.run()
