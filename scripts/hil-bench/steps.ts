/**
 * The procedure for a bench with real hardware: what QEMU, emulators and virtual cameras cannot show. Each step says what to do and what must be
 * seen; `check` names what the cloud itself can confirm. Read by checklist.ts; `./scripts/hil bench --list` prints it.
 */

/** What the cloud says of the camera, looked at by the program and not by the person. */
export type Check =
  /** A unit asks to become the camera. */
  | 'asks'
  | 'online'
  /** New sightings since the step began. */
  | 'sightings'
  /** The camera's process has started anew since the step began. */
  | 'restarted'
  | 'offline'
  /** What the camera says to run has changed since the step began. */
  | 'other-version'
  | 'clock-unsynced'

export interface Step {
  id: string
  title: string
  /** What it is tried on: a step whose hardware is not there is skipped with that reason. */
  needs: string
  actions: readonly string[]
  /** What must be seen; the person says whether it was. */
  expect: readonly string[]
  check?: Check
  /** The cloud is asked from this moment on, which the person says. */
  after?: string
  /** The time from the start of the step to what `check` names is written down. */
  timed?: true
}

export const STEPS: readonly Step[] = [
  {
    ...{
      id: 'card',
      title: 'Image and card',
      needs: 'a 64-bit ARM image of ./scripts/image, an SD card of 8 GB or more, a card reader',
    },
    actions: [
      'candor camera claim NAME --out claim.json',
      './scripts/flash IMAGE /dev/sdX --claim claim.json --unit unit.json',
    ],
    expect: [
      'it names card and size before it writes, refuses the disk of this machine, and says "read back and right" and, last, "ready"',
    ],
  },
  {
    ...{
      id: 'boot',
      title: 'First boot of a Raspberry Pi 4',
      needs: 'Raspberry Pi 4 with 2 GB or more, its own power supply, a screen',
    },
    actions: ['Card, network cable and screen in; then power, and Enter here at the same moment.'],
    expect: ['the screen shows the fingerprint of the unit’s key'],
    ...{ check: 'asks', timed: true },
  },
  {
    ...{ id: 'approve', title: 'Approval', needs: 'the unit of the step before' },
    actions: ['Compare the fingerprint on the screen: candor camera approve NAME --fingerprint …, and Enter here.'],
    expect: ['the screen says that the unit is a camera'],
    ...{ check: 'online', timed: true },
  },
  {
    ...{ id: 'set-up', title: 'Aiming by phone', needs: 'a phone in the unit’s network, on a ladder' },
    actions: ['Open the set-up page with the code from the screen; focus, aim, draw a privacy mask, finish.'],
    expect: [
      'one hand does it; the picture follows within a second; the focus meter turns round at the sharpest point',
      'a plate under the mask is not read; after finishing, the page is gone and the port is closed',
    ],
  },
  {
    ...{ id: 'gphoto2', title: 'A camera on USB (gphoto2)', needs: 'a camera that libgphoto2 knows, with live view' },
    actions: ['Drive or hold plates past it. Pull the USB cable, wait a minute, put it back.'],
    expect: [
      'candor camera list says "lost" and then "delivering"',
      'the card of the camera holds no picture that was not there before',
    ],
    ...{ after: 'the cable is back', check: 'sightings', timed: true },
  },
  {
    ...{ id: 'gphoto2-power', title: 'A camera on USB that loses its power', needs: 'the camera of the step before' },
    actions: ['Take the battery out in the middle of a capture; put it back after a minute.'],
    expect: ['no half picture becomes a sighting; frames come again by themselves'],
    ...{ after: 'the battery is back', check: 'sightings', timed: true },
  },
  {
    ...{
      id: 'csi',
      title: 'A camera on the CSI connector (rpicam)',
      needs: 'Raspberry Pi OS (Bookworm) with candor-unit_*_arm64.deb, a Camera Module 3 or HQ',
    },
    actions: [
      'apt install ./candor-unit_*_arm64.deb; candor enrol …; source.kind rpicam with shutterUs 500; systemctl start candor-edge',
      'Enter here, then pass plates at walking pace; cover the lens for five minutes.',
    ],
    expect: [
      'plates are sharp at 500 µs in daylight',
      'candor fleet alarms tells of the covered lens, and that it is over',
    ],
    ...{ check: 'sightings', timed: true },
  },
  {
    ...{ id: 'v4l2', title: 'A camera on USB (V4L2)', needs: 'a UVC camera with Motion JPEG at 1080p' },
    actions: ['source.kind stream, address /dev/v4l/by-id/…-video-index0. Pull it out and put it back three times.'],
    expect: ['frames come again each time, also when it gets another number of /dev/video'],
    ...{ after: 'it is back for the third time', check: 'sightings', timed: true },
  },
  {
    ...{ id: 'rtsp', title: 'An IP camera (RTSP)', needs: 'an IP camera with H.264 over RTSP, on the same switch' },
    actions: ['Switch the camera off at its supply for two minutes, and on again.'],
    expect: ['candor camera list says "lost" and then "delivering"'],
    ...{ after: 'it has its supply again', check: 'sightings', timed: true },
  },
  {
    ...{
      id: 'speed',
      title: 'Speed and heat',
      needs: 'the unit in its housing, a heat chamber or a warm room at 40 °C',
    },
    actions: ['Let it read traffic (or a video in a loop) for two hours; candor fleet status each half hour.'],
    expect: ['frames a second stay as they were, below 80 °C, not throttled; write both down here'],
    check: 'online',
  },
  {
    ...{ id: 'watchdog', title: 'A unit that hangs', needs: 'an image with --hil and its console' },
    actions: [
      'kill -STOP the camera’s process; then, with magic SysRq on, crash the kernel (echo c > /proc/sysrq-trigger).',
    ],
    expect: ['the process is back within two minutes; the crashed unit boots by itself'],
    ...{ check: 'restarted', timed: true },
  },
  {
    ...{ id: 'power-cuts', title: 'Twenty power cuts', needs: 'a switched socket' },
    actions: ['Twenty times: power off at any moment, 10 s, power on, wait for "online" in candor camera list.'],
    expect: ['it came back each time; candor fleet status says 0 lost'],
    after: 'the power is on after the twentieth',
    check: 'online',
  },
  {
    ...{ id: 'update', title: 'A good update', needs: 'a bundle of ./scripts/image --bundle with a higher version' },
    actions: ['candor release add …; candor roll-out start --release …; Enter here.'],
    expect: ['candor roll-out show says confirmed'],
    ...{ check: 'other-version', timed: true },
  },
  {
    ...{
      id: 'update-cut',
      title: 'Power cuts while it updates',
      needs: 'the bundle of the step before, another version',
    },
    actions: [
      'Start the roll-out, and cut the power three times: while it fetches, while it installs, and in the first minute of the new slot.',
    ],
    expect: ['it boots each time, and the roll-out ends with confirmed or rolled back'],
    after: 'the roll-out has ended',
    check: 'online',
  },
  {
    ...{
      id: 'update-bad',
      title: 'A bad update',
      needs: 'a bundle of ./scripts/image --hil --break-edge on a unit of --hil',
    },
    actions: ['Roll it out; wait at most twenty minutes.'],
    expect: ['candor roll-out show says rolled back; plates are read with the release of before'],
    after: 'the roll-out has ended',
    check: 'online',
  },
  {
    ...{
      id: 'clock',
      title: 'No time',
      needs: 'a network in which NTP is blocked, a unit without a battery-backed clock',
    },
    actions: ['Take the power away for an hour, block UDP port 123, start it, pass plates; Enter here.'],
    expect: ['its sightings are marked, and their time is the one at which they were received'],
    check: 'clock-unsynced',
  },
  {
    ...{ id: 'link', title: 'A dead link', needs: 'the unit on its mobile router' },
    actions: ['Pull the antenna for an hour while plates pass, then put it back; Enter here when it is back.'],
    expect: ['what was seen meanwhile arrives, matches first, none twice (candor camera list: waiting 0)'],
    check: 'sightings',
  },
  {
    ...{ id: 'key-store', title: 'A sealed card', needs: 'a TPM 2.0 module (SLB 9670) on the unit' },
    actions: ['Flash anew with the module in place. Then put the card into another unit of the same kind.'],
    expect: ['candor doctor says sealed; the other unit cannot open the data partition'],
  },
  {
    ...{ id: 'stolen', title: 'A stolen card', needs: 'the card of a unit that has read plates, a computer' },
    actions: [
      'Search the card as `./scripts/hil image --only stolen` does, for a plate that was read, the camera’s name and its key.',
    ],
    expect: [
      'no plate, no picture; without a key store the camera’s own key is found, and that certificate is then revoked',
    ],
  },
  {
    ...{
      id: 'street',
      title: 'Reads in the street',
      needs: 'the unit on its pole, twenty plates that are known, day and night',
    },
    actions: ['Pass each of the twenty five times by day and five times by night; compare with candor search.'],
    expect: ['write down: passed, seen, read right, read wrong, by day and by night'],
    check: 'sightings',
  },
]
