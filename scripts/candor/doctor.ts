/** `candor doctor`: is this machine ready to run a camera or a cloud? Loads every native part for real. */
import type { Command } from 'commander'

interface Finding {
  name: string
  ok: boolean | null
  detail: string
  hint: string | null
}

export function register(program: Command): void {
  program
    .command('doctor')
    .description('check that this machine has all that a camera or a cloud needs')
    .option(
      '--config <file>',
      "a camera's edge.json: look at its link, broker, clock, temperature and lists, and through its camera, as the set-up page does: focus, plate width, reads, areas",
    )
    .option('--json', 'one JSON document')
    .action(async (options: { config?: string; json?: boolean }) => {
      const { diagnose } = await import('../doctor.ts')
      const { EXIT } = await import('../../shared/errors.ts')
      // Loading the networks and some frames take a small unit a minute.
      const findings: Finding[] = await diagnose(options.config ?? null, (looks, of) => {
        if (process.stderr.isTTY) process.stderr.write(`frame ${looks} of ${of}${looks < of ? '\r' : '\n'}`)
      })
      if (options.json === true) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`)
      else {
        for (const finding of findings) {
          process.stdout.write(
            `${finding.ok === null ? '?   ' : finding.ok ? 'ok  ' : 'BAD '} ${finding.name}: ${finding.detail}\n`,
          )
          if (!finding.ok && finding.hint !== null) process.stdout.write(`     ${finding.hint}\n`)
        }
      }
      process.exitCode = findings.every((finding) => finding.ok !== false) ? EXIT.done : EXIT.failed
    })
}
