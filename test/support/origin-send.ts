/** Sends the response of a {@link Plan} on a connection. */
import type { OriginConnection } from './origin-connection.js'
import { formatHead, type HeaderLines } from './origin-http.js'
import { framingHeaders, type BodyBreak, type Plan } from './origin-plan.js'
import type { Fault, OriginRequest } from './origin-types.js'

const sliceMs = 20
const flood = 'f'.repeat(1000)

async function writeHead(connection: OriginConnection, plan: Plan, lines: HeaderLines): Promise<void> {
  const head = formatHead(plan.status, lines)
  if (plan.floodBytes === 0) return connection.write(head)
  await connection.write(head.subarray(0, -2))
  for (let sent = 0; sent < plan.floodBytes; sent += flood.length + 20) {
    await connection.write(`X-Flood-${String(sent).padStart(8, '0')}: ${flood}\r\n`)
  }
  await connection.write('\r\n')
}

/** Limits the speed of a body: waits until more may be sent, and returns how much. */
class Pacer {
  #rate: number
  #due = performance.now()

  constructor(rate: number) {
    this.#rate = rate
  }

  set rate(rate: number) {
    if (rate === this.#rate) return
    this.#rate = rate
    this.#due = performance.now()
  }

  async take(connection: OriginConnection, want: number): Promise<number> {
    if (this.#rate === Infinity) return want
    const now = performance.now()
    if (this.#due > now) await connection.sleep(this.#due - now)
    // After a slow phase of the client or of this machine, the unused budget is not sent in one burst.
    this.#due = Math.max(this.#due, performance.now())
    const amount = Math.min(want, Math.max(1, Math.round((this.#rate * sliceMs) / 1000)))
    this.#due += (amount / this.#rate) * 1000
    return amount
  }
}

async function stall(connection: OriginConnection, { forMs, until }: BodyBreak): Promise<void> {
  if (until === null) return connection.sleep(forMs)
  while (!until()) await connection.sleep(5)
}

async function writeBody(connection: OriginConnection, plan: Plan, request: OriginRequest): Promise<boolean> {
  const { body, trickle } = plan
  if (body === null) return true
  const length = body.end - body.start
  const usual = plan.bytesPerSecond ?? Infinity
  const pacer = new Pacer(usual)
  let pause = plan.break
  for (let sent = 0; ;) {
    if (pause !== null && sent >= Math.min(pause.afterBytes, pause.how === 'stall' ? Infinity : length)) {
      if (pause.how !== 'stall') return false
      if (sent < length) await stall(connection, pause)
      pause = null
    }
    if (sent >= length) return true
    const slow = trickle !== null && sent >= trickle.afterBytes
    pacer.rate = slow ? trickle.bytesPerSecond : usual
    const stop = Math.min(
      length,
      pause?.afterBytes ?? length,
      slow || trickle === null ? length : trickle.afterBytes,
    )
    const amount = await pacer.take(connection, Math.min(stop - sent, plan.chunkBytes))
    const data = body.content.view(body.start + sent, body.start + sent + amount)
    if (plan.framing === 'chunked') await connection.write(`${data.length.toString(16)}\r\n`)
    // Counted before the write has finished, because a client that stops reading may have received these bytes.
    request.bytesSent += data.length
    sent += data.length
    await connection.write(data)
    if (plan.framing === 'chunked') await connection.write('\r\n')
  }
}

/** Sends the response, and resolves to whether another request may follow on the connection. */
export async function sendPlan(
  connection: OriginConnection,
  plan: Plan,
  request: OriginRequest,
  fault: Fault | undefined,
): Promise<boolean> {
  if (plan.latencyMs > 0) await connection.sleep(plan.latencyMs)
  request.status = plan.status
  request.headOnly = plan.headOnly || plan.status === 204 || plan.status === 304
  await writeHead(connection, plan, [...plan.headers, ...framingHeaders(plan, fault)])
  if (!request.headOnly) {
    const whole = await writeBody(connection, plan, request)
    if (!whole) {
      await connection.flush()
      if (plan.break?.how === 'reset') await connection.resetAfterData()
      else connection.end()
      return false
    }
    if (plan.framing === 'chunked') await connection.write('0\r\n\r\n')
    if (plan.extra !== null) await connection.write(plan.extra)
  }
  await connection.flush()
  if (plan.close) connection.end()
  return !plan.close
}
