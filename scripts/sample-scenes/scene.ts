/** A street with a vehicle or two, as SVG: everything is drawn here, nothing is photographed. */
import { type Draw, inventPlate, PLATE_SIZE, type Plate, type PlateStyle, pick, plateSvg } from './plates.ts'

export const SCENE_WIDTH_PX = 1280
export const SCENE_HEIGHT_PX = 720
const HORIZON_Y = 250

export interface LabelledPlate {
  plate: Plate
  /** Upright box around the plate in pixels, from the top left. */
  box: { x: number; y: number; width: number; height: number }
}

export interface Scene {
  svg: string
  plates: LabelledPlate[]
  night: boolean
}

const PAINTS = ['#8f1d21', '#1f3f6e', '#5c6066', '#22262b', '#d9dadb', '#2f5d45', '#a9794a', '#7d8890'] as const
const WALLS = ['#a08d7a', '#8b8f94', '#b39c86', '#77706a', '#96857a', '#8a9aa3'] as const

function buildings(draw: Draw, night: boolean): string {
  let svg = ''
  for (let x = -40; x < SCENE_WIDTH_PX; ) {
    const width = 120 + draw() * 130
    const top = 20 + draw() * 120
    svg += `<rect x="${x.toFixed(0)}" y="${top.toFixed(0)}" width="${width.toFixed(0)}" height="${(HORIZON_Y + 30 - top).toFixed(0)}" fill="${pick(draw, WALLS)}"/>`
    for (let wy = top + 18; wy < HORIZON_Y - 20; wy += 42) {
      for (let wx = x + 14; wx < x + width - 26; wx += 36) {
        const lit = draw() < (night ? 0.35 : 0.1)
        svg += `<rect x="${wx.toFixed(0)}" y="${wy.toFixed(0)}" width="20" height="26" fill="${lit ? '#ffe9a8' : '#3c4650'}" opacity="0.85"/>`
      }
    }
    x += width + draw() * 24
  }
  return svg
}

function street(draw: Draw): string {
  let svg = `<rect y="${HORIZON_Y}" width="${SCENE_WIDTH_PX}" height="40" fill="#9a978f"/>`
  svg += `<path d="M0 ${SCENE_HEIGHT_PX}V${HORIZON_Y + 90}L360 ${HORIZON_Y + 34}H920L${SCENE_WIDTH_PX} ${HORIZON_Y + 90}V${SCENE_HEIGHT_PX}Z" fill="#4b4d50"/>`
  for (let i = 0; i < 5; i++) {
    const near = HORIZON_Y + 50 + i * i * 22
    const half = 3 + i * 2.4
    svg += `<path d="M${640 - half} ${near}h${half * 2}l${half * 0.8} ${14 + i * 10}h-${half * 3.6}z" fill="#d8d5c4" opacity="0.8"/>`
  }
  for (let i = 0; i < 60; i++) {
    const y = HORIZON_Y + 60 + draw() * (SCENE_HEIGHT_PX - HORIZON_Y - 60)
    svg += `<ellipse cx="${(draw() * SCENE_WIDTH_PX).toFixed(0)}" cy="${y.toFixed(0)}" rx="${(10 + draw() * 40).toFixed(0)}" ry="${(2 + draw() * 4).toFixed(0)}" fill="#000" opacity="0.06"/>`
  }
  for (const x of [70 + draw() * 60, 1120 + draw() * 80]) {
    svg += `<rect x="${x.toFixed(0)}" y="60" width="9" height="270" fill="#2b2f33"/><ellipse cx="${x.toFixed(0)}" cy="62" rx="26" ry="8" fill="#2b2f33"/>`
    svg += `<ellipse cx="${(x + 130).toFixed(0)}" cy="190" rx="58" ry="74" fill="#3f6b3a"/><rect x="${(x + 123).toFixed(0)}" y="240" width="14" height="70" fill="#5d4630"/>`
  }
  return svg
}

/** The back of a car in a box 1800 × 1400 mm, wheels on the lower edge; returns where the plate's middle belongs. */
function carBack(draw: Draw, night: boolean): { svg: string; plateX: number; plateY: number } {
  const paint = pick(draw, PAINTS)
  const roof = 60 + draw() * 120
  const glow = night ? '#ff5a4a' : '#b3231f'
  const svg =
    '<ellipse cx="900" cy="1390" rx="1010" ry="70" fill="#000" opacity="0.45"/>' +
    '<rect x="130" y="1080" width="260" height="310" rx="60" fill="#16171a"/><rect x="1410" y="1080" width="260" height="310" rx="60" fill="#16171a"/>' +
    `<path d="M60 720C70 620 190 600 250 560L380 ${roof + 60}C400 ${roof + 10} 450 ${roof} 520 ${roof}H1280C1350 ${roof} 1400 ${roof + 10} 1420 ${roof + 60}L1550 560C1610 600 1730 620 1740 720V1180C1740 1240 1700 1270 1640 1270H160C100 1270 60 1240 60 1180Z" fill="${paint}"/>` +
    `<path d="M330 540L430 ${roof + 80}C440 ${roof + 55} 470 ${roof + 45} 510 ${roof + 45}H1290C1330 ${roof + 45} 1360 ${roof + 55} 1370 ${roof + 80}L1470 540C1300 570 500 570 330 540Z" fill="#20272e"/>` +
    `<path d="M430 500L500 ${roof + 90}H760L640 520C560 518 490 512 430 500Z" fill="#fff" opacity="0.14"/>` +
    `<path d="M60 720C300 760 1500 760 1740 720V700C1500 735 300 735 60 700Z" fill="#000" opacity="0.25"/>` +
    `<rect x="90" y="690" width="270" height="150" rx="36" fill="${glow}"/><rect x="1440" y="690" width="270" height="150" rx="36" fill="${glow}"/>` +
    '<rect x="110" y="760" width="90" height="60" rx="18" fill="#f6d9b0" opacity="0.8"/><rect x="1600" y="760" width="90" height="60" rx="18" fill="#f6d9b0" opacity="0.8"/>' +
    '<rect x="560" y="850" width="680" height="230" rx="26" fill="#000" opacity="0.28"/>' +
    '<path d="M60 1100H1740V1190C1740 1240 1700 1270 1640 1270H160C100 1270 60 1240 60 1190Z" fill="#2a2d31"/>' +
    '<rect x="330" y="1150" width="200" height="46" rx="16" fill="#7c1a18"/><rect x="1270" y="1150" width="200" height="46" rx="16" fill="#7c1a18"/>' +
    '<circle cx="900" cy="795" r="26" fill="#c9ced3" opacity="0.8"/>'
  return { svg, plateX: 900, plateY: 966 }
}

/** The back of a van, same box and plate place. */
function vanBack(draw: Draw, night: boolean): { svg: string; plateX: number; plateY: number } {
  const paint = pick(draw, ['#e4e5e6', '#c8cdd2', '#d6c37a', '#8fa3b5'])
  const glow = night ? '#ff5a4a' : '#b3231f'
  const svg =
    '<ellipse cx="900" cy="1390" rx="980" ry="70" fill="#000" opacity="0.45"/>' +
    '<rect x="150" y="1120" width="230" height="270" rx="50" fill="#16171a"/><rect x="1420" y="1120" width="230" height="270" rx="50" fill="#16171a"/>' +
    `<rect x="90" y="-180" width="1620" height="1450" rx="90" fill="${paint}"/>` +
    '<rect x="230" y="-60" width="620" height="480" rx="40" fill="#262d34"/><rect x="950" y="-60" width="620" height="480" rx="40" fill="#262d34"/>' +
    '<path d="M270 380L420-20H620L450 380Z" fill="#fff" opacity="0.12"/>' +
    '<rect x="893" y="-170" width="14" height="1330" fill="#000" opacity="0.3"/>' +
    `<rect x="105" y="500" width="95" height="420" rx="30" fill="${glow}"/><rect x="1600" y="500" width="95" height="420" rx="30" fill="${glow}"/>` +
    '<rect x="600" y="842" width="600" height="236" rx="16" fill="#000" opacity="0.22"/>' +
    '<rect x="90" y="1130" width="1620" height="150" rx="40" fill="#2e3135"/>'
  return { svg, plateX: 900, plateY: 960 }
}

interface Placed {
  /** Middle of the vehicle and its width on the road, pixels. */
  x: number
  bottom: number
  width: number
}

function vehicle(draw: Draw, style: PlateStyle, at: Placed, night: boolean): { svg: string; label: LabelledPlate } {
  const plate = inventPlate(draw, style)
  const body = draw() < 0.25 ? vanBack(draw, night) : carBack(draw, night)
  const scale = at.width / 1800
  const size = PLATE_SIZE[style]
  // Seen a little from the side and not quite level, as a camera on a pole sees it.
  const angle = (draw() - 0.5) * 0.07
  const shear = (draw() - 0.5) * 0.12
  const squeeze = 0.93 + draw() * 0.07
  const matrix = [
    Math.cos(angle) * squeeze,
    Math.sin(angle) * squeeze,
    shear - Math.sin(angle),
    Math.cos(angle),
  ] as const
  const left = at.x - at.width / 2
  const top = at.bottom - 1390 * scale
  const toScene = (x: number, y: number) => {
    const dx = x - size.width / 2
    const dy = y - size.height / 2
    return {
      x: left + (body.plateX + matrix[0] * dx + matrix[2] * dy) * scale,
      y: top + (body.plateY + matrix[1] * dx + matrix[3] * dy) * scale,
    }
  }
  const origin = toScene(0, 0)
  const placed = matrix.map((value) => (value * scale).toFixed(5)).join(' ')
  const corners = [origin, toScene(size.width, 0), toScene(size.width, size.height), toScene(0, size.height)]
  const xs = corners.map((corner) => corner.x)
  const ys = corners.map((corner) => corner.y)
  const x = Math.round(Math.min(...xs))
  const y = Math.round(Math.min(...ys))
  const svg =
    `<g transform="translate(${left.toFixed(1)} ${top.toFixed(1)}) scale(${scale.toFixed(5)})">${body.svg}</g>` +
    `<g transform="matrix(${placed} ${origin.x.toFixed(2)} ${origin.y.toFixed(2)})">${plateSvg(plate)}</g>`
  const box = { x, y, width: Math.round(Math.max(...xs)) - x, height: Math.round(Math.max(...ys)) - y }
  return { svg, label: { plate, box } }
}

/** One scene; `styles` has a kind of plate for each vehicle, one or two, the nearest last. */
export function drawScene(draw: Draw, styles: readonly PlateStyle[], night: boolean): Scene {
  const places: Placed[] =
    styles.length === 1
      ? [{ x: 520 + draw() * 240, bottom: 640 + draw() * 40, width: 640 + draw() * 110 }]
      : [
          { x: 920 + draw() * 60, bottom: 560, width: 470 },
          { x: 350 + draw() * 60, bottom: 660, width: 620 },
        ]
  const vehicles = styles.map((style, i) => {
    const at = places[i]
    if (at === undefined) throw new Error('a scene has one or two vehicles')
    return vehicle(draw, style, at, night)
  })
  const sky = night ? ['#0d1424', '#26304a'] : ['#9fc3e6', '#dfe9f2']
  const dusk = night
    ? `<rect width="${SCENE_WIDTH_PX}" height="${SCENE_HEIGHT_PX}" fill="#0a1024" opacity="0.42"/><ellipse cx="640" cy="560" rx="620" ry="300" fill="url(#lamp)"/>`
    : ''
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${SCENE_WIDTH_PX}" height="${SCENE_HEIGHT_PX}">
<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${sky[0]}"/><stop offset="1" stop-color="${sky[1]}"/></linearGradient>
<radialGradient id="lamp"><stop offset="0" stop-color="#ffe6b0" stop-opacity="0.35"/><stop offset="1" stop-color="#ffe6b0" stop-opacity="0"/></radialGradient></defs>
<rect width="${SCENE_WIDTH_PX}" height="${HORIZON_Y + 40}" fill="url(#sky)"/>
${buildings(draw, night)}${street(draw)}${vehicles.map(({ svg: drawn }) => drawn).join('\n')}${dusk}</svg>`
  return { svg, plates: vehicles.map(({ label }) => label), night }
}
