/** Responses as steps of a server, and what becomes of them. */
import type { Step } from './network.js'
import type { RequestFault, ServerSpec } from './spec.js'

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
export function head(
  status: number,
  headers: Record<string, string>,
  wire: ServerSpec['wire'] = 'usual',
): string {
  const version = wire === 'http-1.0' ? '1.0' : '1.1'
  const lines = Object.entries(headers).flatMap(([name, value]) => field(name, value, wire))
  if (wire === 'many-fields')
    for (let index = 0; index < 400; index++) lines.push(`x-trace-${index}: ${'0'.repeat(90)}`)
  const text = `HTTP/${version} ${status} Simulated\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
  const first = informational[wire]
  return (first ?? '') + (wire === 'lf-only' ? text.replaceAll('\r\n', '\n') : text)
}

const informational: Partial<Record<string, string>> = {
  'early-hints': 'HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n',
  continue: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n',
}

function field(name: string, value: string, wire: ServerSpec['wire']): string[] {
  switch (wire) {
    case 'folded':
      // What frames the body is on a line of its own with everybody.
      return [/length|coding|range/.test(name) ? `${name}: ${value}` : `${name}:\r\n ${value}`]
    case 'upper-case':
      return [`${name.toUpperCase()}:${value}\t`]
    case 'length-twice': {
      const line = `${name}: ${value}`
      return name === 'content-length' ? [line, line] : [line]
    }
    default:
      return [`${name}: ${value}`]
  }
}

/** A body in chunks. */
export function chunks(bytes: Buffer, wire: ServerSpec['wire']): Step[] {
  const size = wire === 'many-chunks' ? 1_000 : Math.max(bytes.length, 1)
  const extension = wire === 'chunk-extensions' ? ';note="a;b"' : ''
  const steps: Step[] = []
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = bytes.subarray(at, at + size)
    const line = Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`)
    steps.push({ kind: 'send', bytes: Buffer.concat([line, chunk, Buffer.from('\r\n')]) })
  }
  const trailers = wire === 'trailers' ? 'x-checked: yes\r\netag: "another"\r\n' : ''
  return [...steps, send(`0${extension}\r\n${trailers}\r\n`)]
}
