/** The log that `--log-file` names. */
import { errnoOf } from '../../disk/errors.js'
import { closeSync, openSync, writeSync } from '../../disk/fs.js'
import { systemClock } from '../../util/clock.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { texts } from '../language.js'
import type { Report, Reporter } from '../report.js'
import { LogReporter } from '../reporters.js'

/**
 * Adds a log file to a reporter. Lines are appended, and only the user can read a new file. Trouble with the file later
 * on, such as a full disk, is told once and does not stop the downloads.
 *
 * @throws UsageError when the file can't be opened.
 */
export function withLogFile(reporter: Reporter, file: string): Reporter {
  let fd: number
  try {
    fd = openSync(file, 'a', 0o600)
  } catch (error) {
    throw new UsageError(texts().logNotOpened(plain(file), errnoOf(error) ?? String(error)))
  }
  let isOpen = true
  const end = () => {
    if (isOpen) closeSync(fd)
    isOpen = false
  }
  const log = new LogReporter((line) => {
    if (!isOpen) return
    try {
      writeSync(fd, `${new Date(systemClock.wallNow()).toISOString()} ${line}\n`)
    } catch (error) {
      end()
      const message = texts().logFailed(plain(file), errnoOf(error) ?? String(error))
      reporter.report({ type: 'log', level: 'warn', message })
    }
  })
  return {
    report(report: Report) {
      reporter.report(report)
      log.report(report)
    },
    finish() {
      reporter.finish()
      log.finish()
      end()
    },
    close() {
      // Later reports are still printed, so the file stays open until the process ends.
      reporter.close()
    },
  }
}
