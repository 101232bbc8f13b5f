/** Which camera hangs on the unit, and how it exposes, by day and by night. Called by main.ts. */
import type { Exposure, Night, OfferedSetting, State } from './api.ts'
import * as api from './api.ts'
import { button, choice, el, field } from './dom.ts'

export interface CameraView {
  show(state: State): void
}

interface Setting {
  name: string
  label: string
  note: string | null
  /** Null: a number is typed. */
  choices: string[] | null
  /** What the camera has where nothing is configured. */
  present: string
}

/** What rpicam-vid takes; empty: left to the camera. */
const RPICAM: readonly Setting[] = [
  { name: 'shutterUs', label: 'Shutter, µs', note: 'at most 1000 for vehicles that drive', choices: null, present: '' },
  { name: 'gain', label: 'Gain, 1–64', note: null, choices: null, present: '' },
  { name: 'ev', label: 'Compensation, stops', note: null, choices: null, present: '' },
  { name: 'exposure', label: 'Automatic exposure', note: null, choices: ['normal', 'sport', 'long'], present: '' },
  {
    name: 'lensPosition',
    label: 'Focus, dioptres',
    note: '1 / metres; for modules with a motor',
    choices: null,
    present: '',
  },
]
const KINDS = [
  ['rpicam', 'Ribbon cable (CSI)'],
  ['gphoto2', 'USB camera body'],
  ['stream', 'Network or video device'],
] as const
const UNSET = 'left to the camera'

export function createCameraView(panel: HTMLElement): CameraView {
  const sourcePart = el('div', {})
  const exposurePart = el('div', {})
  panel.append(el('h2', {}, 'Camera'), sourcePart, el('h2', {}, 'Exposure'), exposurePart)
  let shownSource = ''
  let shownBodies = ''
  let shownExposure = ''

  function report(place: HTMLElement, work: () => Promise<void>, done: string): Promise<void> {
    place.textContent = ''
    place.className = 'note'
    return work().then(
      () => {
        place.textContent = done
      },
      (thrown: unknown) => {
        place.className = 'problem'
        place.textContent = thrown instanceof Error ? thrown.message : 'It did not work.'
      },
    )
  }

  function showSource({ source, bodies }: State): void {
    const kind = choice(
      [...KINDS],
      KINDS.some(([name]) => name === source?.kind) ? (source?.kind ?? 'rpicam') : 'rpicam',
    )
    const address = el('input', { inputmode: 'url', autocapitalize: 'none', spellcheck: 'false', maxlength: '2048' })
    address.value = source?.address ?? ''
    const user = el('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: '64' })
    const password = el('input', { type: 'password', autocomplete: 'off', maxlength: '128' })
    const rotated = choice(
      [
        ['0', 'upright'],
        ['180', 'upside down'],
      ],
      String(source?.rotation ?? 0),
    )
    const network = el(
      'form',
      { autocomplete: 'off' },
      field('Address', address, 'rtsp://…, http://… or /dev/video0'),
      field(
        'User',
        user,
        source?.hasLogin === true ? 'empty: as before, if the camera is the same' : 'empty: none is needed',
      ),
      field('Password', password),
    )
    const ribbon = field('It hangs', rotated)
    const port = source?.port ?? null
    const plugs = bodies.map(({ port, name, serialNumber }) => {
      const text = [name === '' ? 'a camera' : name, serialNumber === null ? '' : `no. ${serialNumber}`, port]
      return [port, text.filter((part) => part !== '').join(', ')] as const
    })
    const absent =
      port === null || bodies.some((one) => one.port === port) ? [] : [[port, `${port}, not there`] as const]
    const body = choice([['', 'the only one'], ...plugs, ...absent], port ?? '')
    const usb = field('Which one', body, 'where several are attached: by its plug, which it must keep')
    const said = el('p', { class: 'note', role: 'status' })
    network.addEventListener('submit', (sent) => sent.preventDefault())
    const fit = () => {
      network.hidden = kind.value !== 'stream'
      ribbon.hidden = kind.value !== 'rpicam'
      usb.hidden = kind.value !== 'gphoto2'
    }
    kind.addEventListener('change', fit)
    fit()
    const login = () => (user.value === '' ? {} : { user: user.value, password: password.value })
    const chosen = () => {
      if (kind.value === 'stream') return { kind: 'stream', address: address.value.trim(), ...login() }
      if (kind.value === 'rpicam') return { kind: 'rpicam', rotation: Number(rotated.value) }
      return { kind: 'gphoto2', port: body.value === '' ? null : body.value }
    }
    const use = button('Use this camera', 'primary wide', () =>
      report(said, () => api.setSource(chosen()), 'The camera is opened. Its picture comes within some seconds.'),
    )
    const other =
      source?.kind === 'replay' ? el('p', { class: 'note' }, 'At present pictures from files are shown.') : null
    sourcePart.replaceChildren(
      ...[other, field('The camera is on', kind), ribbon, usb, network, use, said].filter((part) => part !== null),
    )
  }

  function fieldsOf(settings: readonly Setting[], values: Readonly<Record<string, string | number>>) {
    const inputs = settings.map(({ name, label, note, choices, present }) => {
      const value = String(values[name] ?? '')
      const empty = present === '' ? UNSET : `${present} (as it is)`
      const input =
        choices === null
          ? el('input', { inputmode: 'decimal', maxlength: '32', autocomplete: 'off' })
          : choice([['', empty] as const, ...choices.map((one) => [one, one] as const)], value)
      if (choices === null) input.value = value
      return { name, input, place: field(label, input, note ?? (choices === null ? empty : null)) }
    })
    return {
      places: inputs.map(({ place }) => place),
      read: () =>
        inputs.flatMap(({ name, input }) => (input.value.trim() === '' ? [] : [[name, input.value.trim()] as const])),
    }
  }

  function showExposure(exposure: Exposure): void {
    if (exposure.kind === 'none') {
      exposurePart.replaceChildren(el('p', { class: 'note' }, exposure.why))
      return
    }
    const settings: readonly Setting[] =
      exposure.kind === 'rpicam'
        ? RPICAM
        : (exposure.offered ?? []).map(
            ({ name, label, value, choices }: OfferedSetting): Setting => ({
              name,
              label,
              note: null,
              choices,
              present: value,
            }),
          )
    if (settings.length === 0) {
      exposurePart.replaceChildren(el('p', { class: 'note' }, 'The camera has not said yet what it can be set to.'))
      return
    }
    const typed = (pairs: readonly (readonly [string, string])[]) =>
      Object.fromEntries(
        pairs.map(([name, value]) => [name, exposure.kind === 'rpicam' && name !== 'exposure' ? Number(value) : value]),
      )
    const day = fieldsOf(settings, exposure.settings)
    const night = fieldsOf(settings, exposure.night?.settings ?? {})
    const [from, to] = [el('input', { type: 'time' }), el('input', { type: 'time' })]
    from.value = exposure.night?.fromUtc ?? ''
    to.value = exposure.night?.toUtc ?? ''
    const said = el('p', { class: 'note', role: 'status' })
    const nightOf = (): Night | null =>
      from.value === '' || to.value === ''
        ? null
        : { fromUtc: from.value, toUtc: to.value, settings: typed(night.read()) }
    const nightPart = el(
      'details',
      exposure.night === null ? {} : { open: true },
      el('summary', {}, 'By night'),
      field('From, UTC', from),
      field('To, UTC', to),
      ...night.places,
    )
    const refused =
      exposure.kind === 'gphoto2' && exposure.refused.length > 0
        ? el('p', { class: 'problem' }, exposure.refused.join(' '))
        : null
    exposurePart.replaceChildren(
      ...[
        refused,
        ...day.places,
        nightPart,
        button('Apply', 'primary wide', () =>
          report(said, () => api.setExposure(typed(day.read()), nightOf()), 'Applied. The camera is opened anew.'),
        ),
        said,
      ].filter((part) => part !== null),
    )
  }

  return {
    show(state) {
      // What somebody is typing is not taken from under their fingers.
      const [source, bodies] = [JSON.stringify(state.source), JSON.stringify(state.bodies)]
      const isTyping =
        sourcePart.contains(document.activeElement) && document.activeElement?.matches('input, select') === true
      if (source !== shownSource || (bodies !== shownBodies && !isTyping)) {
        showSource(state)
        shownSource = source
        shownBodies = bodies
      }
      const exposure = JSON.stringify(state.exposure)
      if (exposure !== shownExposure && !exposurePart.contains(document.activeElement)) {
        showExposure(state.exposure)
        shownExposure = exposure
      }
    },
  }
}
