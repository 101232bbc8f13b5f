/**
 * O and 0, I and 1 are the same shape in most plates' lettering, so the picture cannot decide between them: a recogniser guesses from the
 * characters around. Where exactly one choice gives a layout that plates are really issued in, and the text as read gives none, that choice
 * is put first, named in the read's `format`, and the text as read stays among its candidates. Nothing else is ever changed.
 */

/** L a letter, D a digit; where plates of that layout are issued (public issue schemes). */
export const LAYOUTS: ReadonlyMap<string, string> = new Map([
  ['LLLDDDD', 'BR before 2018, US-TX, US-NY, US-PA, US-NC, US-VA, US-GA, US-OH, US-WA, US-WI …'],
  ['LLLDLDD', 'BR Mercosur'],
  ['DLLLDDD', 'US-CA'],
  ['LLDLDL', 'US-MO'],
  ['LLLDDD', 'US-FL, US-LA, US-MN, US-AL …'],
  ['DDDLLL', 'US-CO, US-OR, US-KS …'],
  ['LLDDDLL', 'SK, FR, IT'],
  ['LLDDLLL', 'GB'],
  ['DLDDDDD', 'CZ'],
  ['LLDDDDD', 'PL'],
])

const LOOKALIKE: ReadonlyMap<string, string> = new Map([
  ['O', '0'],
  ['0', 'O'],
  ['I', '1'],
  ['1', 'I'],
])

/** More than this many of them in one text are left as they are read. */
const MAX_LOOKALIKES = 4

export function layoutOf(text: string): string {
  let layout = ''
  for (const character of text) layout += character <= '9' ? 'D' : 'L'
  return layout
}

/** The text with its O/0 and I/1 chosen to fit a layout; null when it fits one as it is, or none or several choices fit. */
export function settleLookalikes(text: string): { text: string; layout: string } | null {
  if (LAYOUTS.has(layoutOf(text))) return null
  const places = [...text].flatMap((character, place) => (LOOKALIKE.has(character) ? [place] : []))
  if (places.length === 0 || places.length > MAX_LOOKALIKES) return null
  let settled: { text: string; layout: string } | null = null
  for (let choice = 1; choice < 2 ** places.length; choice++) {
    const characters = [...text]
    for (const [bit, place] of places.entries()) {
      if ((choice & (1 << bit)) !== 0) characters[place] = LOOKALIKE.get(characters[place] ?? '') ?? ''
    }
    const other = characters.join('')
    const layout = layoutOf(other)
    if (!LAYOUTS.has(layout)) continue
    if (settled !== null) return null
    settled = { text: other, layout }
  }
  return settled
}
