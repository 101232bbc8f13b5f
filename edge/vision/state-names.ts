/**
 * Which US state's plate a line of small writing belongs to: names, slogans and addresses that states print on their plates, found in
 * text that was read with mistakes. Pure.
 */

/** Writing that only one state's plates carry; letters and digits alone. Short names must be read without a mistake. */
const WRITING: Readonly<Record<string, readonly string[]>> = {
  AL: ['ALABAMA', 'HEART OF DIXIE', 'STARS FELL ON', 'SWEET HOME ALABAMA'],
  AK: ['ALASKA', 'THE LAST FRONTIER', 'CELEBRATING STATEHOOD'],
  AZ: ['ARIZONA', 'GRAND CANYON STATE'],
  AR: ['ARKANSAS', 'THE NATURAL STATE'],
  CA: ['CALIFORNIA', 'DMV CA GOV', 'THE GOLDEN STATE'],
  CO: ['COLORADO'],
  CT: ['CONNECTICUT', 'CONSTITUTION STATE'],
  DE: ['DELAWARE', 'THE FIRST STATE'],
  DC: ['WASHINGTON DC', 'TAXATION WITHOUT REPRESENTATION', 'DISTRICT OF COLUMBIA', 'CELEBRATE AND DISCOVER'],
  FL: ['FLORIDA', 'SUNSHINE STATE', 'MYFLORIDA COM'],
  GA: ['GEORGIA', 'GEORGIA GOV', 'PEACH STATE'],
  HI: ['HAWAII', 'ALOHA STATE'],
  ID: ['IDAHO', 'FAMOUS POTATOES', 'SCENIC IDAHO'],
  IL: ['ILLINOIS', 'LAND OF LINCOLN'],
  IN: ['INDIANA', 'AMBER WAVES OF GRAIN', 'HOOSIER STATE'],
  IA: ['IOWA'],
  KS: ['KANSAS'],
  KY: ['KENTUCKY', 'BLUEGRASS STATE', 'UNBRIDLED SPIRIT'],
  LA: ['LOUISIANA', 'SPORTSMANS PARADISE', 'BAYOU STATE'],
  ME: ['MAINE', 'VACATIONLAND'],
  MD: ['MARYLAND', 'MARYLAND GOV', 'TREASURE THE CHESAPEAKE'],
  MA: ['MASSACHUSETTS', 'THE SPIRIT OF AMERICA'],
  MI: ['MICHIGAN', 'GREAT LAKES SPLENDOR', 'WORLDS MOTOR CAPITAL', 'GREAT LAKE STATE', 'MICHIGAN GOV'],
  MN: ['MINNESOTA', '10000 LAKES', 'EXPLORE MINNESOTA'],
  MS: ['MISSISSIPPI', 'HOSPITALITY STATE'],
  MO: ['MISSOURI', 'SHOW ME STATE'],
  MT: ['MONTANA', 'BIG SKY COUNTRY', 'TREASURE STATE'],
  NE: ['NEBRASKA', 'CORNHUSKER STATE'],
  NV: ['NEVADA', 'THE SILVER STATE'],
  NH: ['NEW HAMPSHIRE', 'LIVE FREE OR DIE'],
  NJ: ['NEW JERSEY', 'GARDEN STATE'],
  NM: ['NEW MEXICO', 'LAND OF ENCHANTMENT'],
  NY: ['NEW YORK', 'EMPIRE STATE', 'LIBERTY STATE'],
  NC: ['NORTH CAROLINA', 'FIRST IN FLIGHT', 'FIRST IN FREEDOM'],
  ND: ['NORTH DAKOTA', 'PEACE GARDEN STATE', 'DISCOVER THE SPIRIT'],
  OH: ['OHIO', 'BIRTHPLACE OF AVIATION', 'THE HEART OF IT ALL'],
  OK: ['OKLAHOMA', 'NATIVE AMERICA'],
  OR: ['OREGON', 'PACIFIC WONDERLAND'],
  PA: ['PENNSYLVANIA', 'KEYSTONE STATE', 'VISITPA COM', 'STATE PA US'],
  RI: ['RHODE ISLAND', 'OCEAN STATE'],
  SC: ['SOUTH CAROLINA', 'SMILING FACES BEAUTIFUL PLACES', 'WHILE I BREATHE I HOPE', 'TRAVELSC COM'],
  SD: ['SOUTH DAKOTA', 'GREAT FACES GREAT PLACES'],
  TN: ['TENNESSEE', 'THE VOLUNTEER STATE', 'VOLUNTEER STATE', 'TNVACATION COM'],
  TX: ['TEXAS', 'THE LONE STAR STATE'],
  UT: ['UTAH', 'GREATEST SNOW ON EARTH', 'LIFE ELEVATED'],
  VT: ['VERMONT', 'GREEN MOUNTAIN STATE', 'GREEN MOUNTAINS'],
  VA: ['VIRGINIA', 'JAMESTOWN', '400TH ANNIVERSARY', 'VIRGINIA IS FOR LOVERS'],
  WA: ['WASHINGTON', 'EVERGREEN STATE'],
  WV: ['WEST VIRGINIA', 'WILD WONDERFUL'],
  WI: ['WISCONSIN', 'AMERICAS DAIRYLAND'],
  WY: ['WYOMING', 'EQUALITY STATE'],
}

/** Writing up to this long must be read without a mistake; above, one character in about four may be wrong. */
const EXACT_LENGTH = 5
const MISTAKES = 0.27
/** How sure a match without a mistake makes, by its length: OHIO may be part of another word, CONNECTICUT hardly. */
const SURE_LENGTH = 8
/** The next state must be less likely by this much, else it is neither. */
const CLEAR_LEAD = 0.15

const squeezed = (text: string) =>
  text
    .toUpperCase()
    .replaceAll('&', 'AND')
    .replaceAll(/[^A-Z0-9]/g, '')

interface Phrase {
  state: string
  letters: string
}

/** A phrase that some line holds; `value` 0-1 is what it is worth. */
interface Found extends Phrase {
  edits: number
  value: number
}

const PHRASES: readonly Phrase[] = Object.entries(WRITING).flatMap(([state, phrases]) =>
  phrases.map((phrase) => ({ state, letters: squeezed(phrase) })),
)

/** Fewest edits that turn some part of `text` into `phrase` (Sellers 1980). */
export function editsWithin(text: string, phrase: string): number {
  let column = Array.from({ length: phrase.length + 1 }, (_, row) => row)
  let fewest = phrase.length
  for (const character of text) {
    const next = [0]
    for (let row = 1; row <= phrase.length; row++) {
      const same = phrase[row - 1] === character ? 0 : 1
      next.push(Math.min((column[row - 1] ?? 0) + same, (column[row] ?? 0) + 1, (next[row - 1] ?? 0) + 1))
    }
    column = next
    fewest = Math.min(fewest, column[phrase.length] ?? phrase.length)
  }
  return fewest
}

/** The state that the lines name, or null when they name none or two; `confidence` 0-1 grows with how much was read rightly. */
export function stateNamed(lines: readonly string[]): { code: string; confidence: number } | null {
  const texts = lines.map(squeezed).filter((text) => text.length >= 4)
  const found: Found[] = []
  for (const { state, letters } of PHRASES) {
    const edits = Math.min(...texts.map((text) => editsWithin(text, letters)))
    const most = letters.length <= EXACT_LENGTH ? 0 : Math.floor(letters.length * MISTAKES)
    if (edits > most) continue
    const whole = Math.min(1, letters.length / SURE_LENGTH) ** 0.5
    found.push({ state, letters, edits, value: whole * (1 - edits / letters.length) })
  }
  // KANSAS is in ARKANSAS and WASHINGTON in WASHINGTON DC: the longer speaks when at least half of what it has more was read.
  const isPart = (short: Found, long: Found) => short !== long && long.letters.includes(short.letters)
  const speaks = (long: Found, short: Found) => long.edits <= (long.letters.length - short.letters.length) / 2
  const telling = found.filter(
    (one) =>
      !found.some((other) => isPart(one, other) && speaks(other, one)) &&
      !found.some((other) => isPart(other, one) && other.state !== one.state && !speaks(one, other)),
  )
  const states = new Map<string, number>()
  for (const { state, value } of telling) states.set(state, 1 - (1 - (states.get(state) ?? 0)) * (1 - value * 0.97))
  const [first, second] = [...states].sort((a, b) => b[1] - a[1])
  if (first === undefined || first[1] - (second?.[1] ?? 0) < CLEAR_LEAD) return null
  return { code: `US-${first[0]}`, confidence: first[1] * (1 - (second?.[1] ?? 0) / 2) }
}
