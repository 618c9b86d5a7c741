/** Responses as steps of a server, and what becomes of them. */
import type { Step } from './network.js'
import type { RequestFault } from './spec.js'

/** A response that says nothing but its status. */
export function statusSteps(status: number, retryAfterSeconds: number | null): Step[] {
  const headers: Record<string, string> = { 'content-length': '4' }
  if (retryAfterSeconds !== null) headers['retry-after'] = String(retryAfterSeconds)
  return [send(head(status, headers)), send('oops'), { kind: 'done' }]
}

/** What a fault makes of a response, unless it is one that makes another body. */
export function faultySteps(steps: readonly Step[], fault: RequestFault | undefined): readonly Step[] {
  switch (fault?.kind) {
    case 'status':
      return statusSteps(fault.status, fault.retryAfterSeconds)
    case 'garbage':
      return [send('HTTP/1.1 banana\r\n\r\n'), { kind: 'end', how: 'fin' }]
    case 'trickle':
      return steps.flatMap((step) => trickled(step, fault.bytesPerSecond))
    case 'hang-up':
      return [...steps.filter(({ kind }) => kind !== 'done'), { kind: 'end', how: fault.how }]
    case 'cut':
      return cut(steps, fault)
    default:
      return steps
  }
}

/** Ends a response early. */
function cut(steps: readonly Step[], fault: RequestFault & { kind: 'cut' }): Step[] {
  const total = steps.reduce((sum, step) => sum + (step.kind === 'send' ? step.bytes.length : 0), 0)
  let left = Math.floor((total * fault.percent) / 100)
  const kept: Step[] = []
  for (const step of steps) {
    if (step.kind !== 'send') continue
    kept.push({ kind: 'send', bytes: step.bytes.subarray(0, left) })
    left -= Math.min(left, step.bytes.length)
    if (left === 0) break
  }
  return [
    ...kept.filter((step) => step.kind === 'send' && step.bytes.length > 0),
    { kind: 'end', how: fault.how },
  ]
}

/** So many seconds of a slow body are more than any client waits for. */
const maxTrickleSteps = 60

function trickled(step: Step, bytesPerSecond: number): Step[] {
  if (step.kind !== 'send' || step.bytes.length < 200) return [step]
  const steps: Step[] = []
  for (let at = 0; at < step.bytes.length; at += bytesPerSecond) {
    if (steps.length > 2 * maxTrickleSteps) return [...steps, { kind: 'end', how: 'silence' }]
    steps.push(
      { kind: 'send', bytes: step.bytes.subarray(at, at + bytesPerSecond) },
      { kind: 'wait', ms: 1_000 },
    )
  }
  return steps
}

/** Sends a text. */
export function send(text: string): Step {
  return { kind: 'send', bytes: Buffer.from(text, 'latin1') }
}

/** The head of a response. */
export function head(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Simulated\r\n${lines.join('')}\r\n`
}
