import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { createLog } from './log.ts'
import { createSystemd } from './systemd.ts'

const isThere = spawnSync('systemd-notify', ['--version']).status === 0
const withProgram = isThere ? test : test.skip

/** Listens as systemd does, and prints each message on a line. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    message, files, _, _ = socket.recv_fds(s, 4096, 4)
    for file in files: socket.close(file)
    for line in message.decode().split('\\n'): print(line, flush=True)
`

async function listening(use: (socket: string, said: () => string[]) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-systemd-'))
  const socket = join(folder, 'notify')
  const listener = spawn('python3', ['-c', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    let text = ''
    listener.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    await once(listener.stdout, 'data')
    await use(socket, () => text.split('\n').filter((line) => /^(READY|STOPPING|WATCHDOG)=/.test(line)))
  } finally {
    listener.kill('SIGKILL')
    await once(listener, 'close')
    await rm(folder, { recursive: true, force: true })
  }
}

function logged() {
  const lines: string[] = []
  return { lines, log: createLog({ level: 'debug', part: 'edge', target: { write: (line) => void lines.push(line) } }) }
}

/** Sleeps no longer than a turn, and notes for how long it was asked to. */
function hurriedClock(slept: number[]): Clock {
  return {
    ...systemClock,
    async sleep(ms, signal) {
      slept.push(ms)
      await systemClock.sleep(0, signal)
    },
  }
}

withProgram('a service says that it is ready, alive three times within the watchdog’s time, and ending', async () => {
  await listening(async (NOTIFY_SOCKET, said) => {
    const slept: number[] = []
    const { log, lines } = logged()
    const environment = { NOTIFY_SOCKET, WATCHDOG_USEC: '60000000' }
    const systemd = createSystemd({ environment, clock: hurriedClock(slept), log })
    await systemd.ready()
    const ended = new AbortController()
    let turns = 0
    const alive = () => {
      turns += 1
      if (turns === 3) ended.abort()
      return turns !== 2
    }
    await systemd.runWatchdog(alive, ended.signal)
    await systemd.stopping()
    while (said().length < 4) await systemClock.sleep(5)
    assert.equal(said(), ['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'STOPPING=1'], 'the second time it was stuck')
    assert.equal(slept, [20_000, 20_000, 20_000])
    assert.is(lines.filter((line) => line.includes('service_stuck')).length, 1)
    assert.not(lines.some((line) => line.includes('systemd_not_told')))
  })
})

test('where no service manager waits, nothing is said and nothing is started', async () => {
  const { log, lines } = logged()
  const systemd = createSystemd({ environment: {}, clock: systemClock, log })
  await systemd.ready()
  await systemd.runWatchdog(() => true, new AbortController().signal)
  await systemd.stopping()
  assert.equal(lines, [])
})

test('a socket that is gone is told of once, and holds nothing up', async () => {
  const { log, lines } = logged()
  const systemd = createSystemd({ environment: { NOTIFY_SOCKET: '/nowhere/notify' }, clock: systemClock, log })
  await systemd.ready()
  await systemd.stopping()
  assert.is(lines.filter((line) => line.includes('systemd_not_told')).length, 1)
})

test('the unit of one camera among several is that of a single one, but for its folder', () => {
  const unit = (name: string) =>
    readFileSync(fileURLToPath(new URL(`../systemd/${name}`, import.meta.url)), 'utf8')
      .split('\n')
      // No set-up page opens by itself beside several cameras, so that their folders are always root's.
      .filter((line) => !/^(#|Description=|User=|ExecStartPre=.*take-back)/.test(line))
  assert.equal(
    unit('candor-edge@.service').map((line) => line.replace('/%i', '')),
    unit('candor-edge.service'),
  )
})

test.run()
