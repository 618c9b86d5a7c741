/**
 * Firefox as systems ship it, over its own protocol (WebDriver BiDi, https://w3c.github.io/webdriver-bidi/). Playwright needs
 * a build of its own, or commands that the long-term release lacks.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { WebSocket } from 'undici'
import { findProgram } from './machine.js'
import { tempDir } from './temp.js'
import { deadline, waitFor, withTimeout } from './wait.js'

/** A page in Firefox. */
export interface FirefoxPage extends AsyncDisposable {
  /** Evaluates an expression, whose value may be a promise. The result travels as JSON. */
  evaluate: <T>(expression: string) => Promise<T>
  /** Waits until an expression is true. */
  until: (expression: string, what: string) => Promise<void>
}

interface Answer {
  id?: number
  type: string
  result?: Record<string, unknown>
  message?: string
}

/** Opens a page in a Firefox of its own. */
export async function openFirefox(url: string): Promise<FirefoxPage> {
  const program = findProgram(['firefox-esr', 'firefox'])
  if (program === null) throw new Error('There is no Firefox.')
  const profile = tempDir('firefox')
  const flags = [
    '--headless',
    '--no-remote',
    '--remote-debugging-port=0',
    '--profile',
    profile,
    'about:blank',
  ]
  const child = spawn(program, flags, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HOME: profile },
  })
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
  }
  try {
    const address = await withTimeout(addressOf(child), 60_000, 'Firefox to start')
    const send = await connect(`${address}/session`)
    await send('session.new', { capabilities: {} })
    const { contexts } = await send('browsingContext.getTree', {})
    const [first] = contexts as { context: string }[]
    const context = first?.context
    await send('browsingContext.setViewport', { context, viewport: { width: 1280, height: 800 } })
    await send('browsingContext.navigate', { context, url, wait: 'complete' })
    const evaluate = async <T>(expression: string) => {
      const answer = await send('script.evaluate', {
        expression: `Promise.resolve(${expression}).then((value) => JSON.stringify(value) ?? 'null')`,
        target: { context },
        awaitPromise: true,
      })
      const { result, exceptionDetails } = answer as {
        result?: { value: string }
        exceptionDetails?: { text: string }
      }
      if (result === undefined) throw new Error(exceptionDetails?.text ?? 'Firefox answered nothing.')
      // What the expression gives is for the caller to know.
      return JSON.parse(result.value) as T
    }
    return {
      evaluate,
      until: async (expression, what) => {
        await waitFor(() => evaluate<boolean>(expression), { what, timeoutMs: 15_000 })
      },
      [Symbol.asyncDispose]: end,
    }
  } catch (error) {
    await end()
    throw error
  }
}

async function addressOf({ stderr }: ChildProcess): Promise<string> {
  if (stderr === null) throw new Error('Firefox has no output.')
  for await (const line of createInterface({ input: stderr })) {
    const address = /WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1]
    if (address !== undefined) {
      stderr.resume()
      return address
    }
  }
  throw new Error('Firefox ended before it could be driven.')
}

type Send = (method: string, params: object) => Promise<Record<string, unknown>>

async function connect(address: string): Promise<Send> {
  const socket = new WebSocket(address)
  await withTimeout(
    new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve)
      socket.addEventListener('error', reject)
    }),
    deadline(15_000),
    'Firefox to answer',
  )
  let last = 0
  const waiting = new Map<number, (answer: Answer) => void>()
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer
    waiting.get(answer.id ?? 0)?.(answer)
    waiting.delete(answer.id ?? 0)
  })
  return async (method, params) => {
    const id = ++last
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve))
    socket.send(JSON.stringify({ id, method, params }))
    const { type, result, message } = await withTimeout(answered, deadline(30_000), method)
    if (type !== 'success' || result === undefined) throw new Error(`${method}: ${message ?? type}`)
    return result
  }
}
