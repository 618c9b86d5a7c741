/** The second half of the demo: starts `serve` and calls it over HTTP, as a dashboard or `curl` would. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

const barWidth = 30

/** Starts the server, preloads the catalog through it, suggests what else to try, and stops the server. */
export async function showServer({ cli, directory, catalog, example, large, children, stays, say, check }) {
  const { host } = new URL(example)
  say(`$ model-downloader serve --port 0 -d DIR --catalog DIR/catalog.json --allow-host ${host}`)
  const args = ['serve', '--port', '0', '-d', directory, '--catalog', catalog, '--allow-host', host]
  const server = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(server)
  const ended = once(server, 'exit')
  const { url, errors } = await listening(server, check)

  const page = `${url}/api/models/ui`
  const { status: code, headers } = await fetch(page)
  check(code === 200 && headers.get('content-type').startsWith('text/html'), `The dashboard answers ${code}.`)
  say(`\n  The dashboard:  ${page}\n`)

  say('\nGET /api/v1/models/status')
  showModels(await ask(`${url}/api/v1/models/status`), say)
  say('\nPOST /api/v1/models/preload/start')
  const { message } = await ask(`${url}/api/v1/models/preload/start`, 'POST')
  say(`  ${message}`)
  say('\nGET /api/v1/models/preload/status, four times a second')
  const status = await watch(`${url}/api/v1/models/preload/status`)
  check(status.success_flag === true, `The preload failed: ${status.error}\n${errors()}`)
  for (const line of status.logs.slice(-3)) say(`  ${line}`)
  say('\nGET /api/v1/models/status')
  const { any_missing: anyMissing, ...models } = await ask(`${url}/api/v1/models/status`)
  showModels(models, say)
  check(!anyMissing, 'A model is missing after the preload.')

  say(`\n${stays ? 'Try it from another terminal:' : 'From another terminal you could now:'}\n`)
  for (const line of curlLines(url, example)) say(`  ${line}`)
  say()
  if (stays) {
    say(`Open ${page} in a browser.`)
    say(
      'Press Enter to start some more downloads, one of which fails. Press Ctrl-C to end the server and the demo.',
    )
    // The terminal sends the signal to the server as well.
    process.removeAllListeners('SIGINT').on('SIGINT', () => undefined)
    const more = startMore(url, large)
    process.stdin.on('data', more)
    await more()
    await ended
    process.stdin.off('data', more).pause()
    return
  }
  server.kill('SIGTERM')
  const [exitCode] = await ended
  // Windows has no SIGTERM; the process is simply ended there.
  check(exitCode === 0 || process.platform === 'win32', `The server ended with ${exitCode}.\n${errors()}`)
  say('SIGTERM: the server has shut down cleanly.')
}

/** Returns a function that starts some downloads, with different URLs at each call. */
function startMore(url, large) {
  let round = 0
  const start = async (body) => {
    const headers = { 'content-type': 'application/json' }
    await fetch(`${url}/api/models/download`, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  return async () => {
    round += 1
    try {
      for (const part of ['a', 'b', 'c']) {
        await start({ url: `${large}?copy=${round}${part}`, filename: `copy-${round}${part}.onnx` })
      }
      await start({ url: `${large}.missing?copy=${round}`, filename: `missing-${round}.onnx` })
    } catch {
      // The server has just been stopped.
    }
  }
}

/** Waits until the server prints the URL it listens on. */
async function listening(server, check) {
  let errors = ''
  let out = ''
  server.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  server.stdout.setEncoding('utf8').on('data', (text) => (out += text))
  while (!out.includes('\n') && server.exitCode === null) await delay(10)
  const url = /^listening on (\S+)$/m.exec(out)?.[1]
  check(url !== undefined, `The server did not print the URL it listens on.\n${errors}`)
  return { url, errors: () => errors }
}

async function ask(url, method = 'GET') {
  const response = await fetch(url, { method })
  const body = await response.json()
  if (!response.ok) throw new Error(`${method} ${url}: ${body.detail}`)
  return body
}

function showModels({ models }, say) {
  for (const { ready, name, message } of Object.values(models))
    say(`  ${ready ? '✓' : '·'} ${name.padEnd(18)}${message}`)
}

/** Shows the progress of the preload: on a terminal in one line that is updated, otherwise with a line each second. */
async function watch(url) {
  const { stdout } = process
  const step = stdout.isTTY ? 250 : 1_000
  for (;;) {
    const status = await ask(url)
    const line = drawn(status)
    stdout.write(stdout.isTTY ? `\r${line.slice(0, (stdout.columns || 80) - 1)}\u001b[K` : `${line}\n`)
    if (!status.running) {
      if (stdout.isTTY) stdout.write('\n')
      return status
    }
    await delay(step)
  }
}

function drawn({ progress, completed, total, downloads }) {
  const full = Math.floor((progress / 100) * barWidth)
  const speed = Object.values(downloads).reduce((sum, { bytes_per_second: each }) => sum + each, 0)
  const rate = `${(speed / 1e6).toFixed(1)} MB/s`
  return `  ${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${progress.toFixed(1).padStart(5)} %  ${completed}/${total}  ${rate}`
}

/** Returns commands quoted for a POSIX shell; cmd needs other quotes, see docs/windows.md. */
function curlLines(url, example) {
  const body = JSON.stringify({ url: `${example}?copy`, filename: 'copy.onnx' })
  return [
    `curl -s ${url}/api/v1/models/status`,
    `curl -s -X POST '${url}/api/v1/models/preload/start?force=true'`,
    `curl -N ${url}/api/v1/models/preload/events`,
    `curl -s ${url}/api/models/download -H 'content-type: application/json' -d '${body}'`,
    `curl -s ${url}/api/models/download/status`,
  ]
}
