/**
 * Entry of the hash worker, which reads files back and hashes them in parallel with the download. See `hasher.ts`.
 */
import { parentPort } from 'node:worker_threads'
import { readSync } from '../../disk/fs.js'
import { HashJob, type HashReply, type HashRequest, stepBytes } from './hash-job.js'

if (parentPort === null) throw new Error('hash-worker must be run as a worker thread')

const port = parentPort

const jobs = new Map<number, HashJob>()

const buffer = Buffer.allocUnsafeSlow(stepBytes)

let running = false

port.on('message', (request: HashRequest) => {
  handle(request)
  wake()
})

function wake(): void {
  if (running) return
  running = true
  setImmediate(round)
}

function reply(message: HashReply): void {
  port.postMessage(message)
}

function handle(request: HashRequest): void {
  const { id } = request
  switch (request.type) {
    case 'open':
      jobs.set(
        id,
        new HashJob({
          fd: request.fd,
          algorithms: request.algorithms,
          settle: (outcome) => {
            if ('digests' in outcome) reply({ type: 'digest', id, digests: outcome.digests })
            else reply({ type: 'error', id, error: outcome.error.toJSON() })
          },
          report: request.reports ? (position) => reply({ type: 'progress', id, position }) : null,
          wake,
        }),
      )
      break
    case 'advance':
      jobs.get(id)?.advance(request.frontier)
      break
    case 'digest':
      jobs.get(id)?.want(request.size, request.fresh)
      break
    case 'dispose':
      jobs.delete(id)
      reply({ type: 'disposed', id })
      break
  }
}

/** Reads and hashes one step of each file that has one. Messages are handled between the rounds. */
function round(): void {
  running = false
  for (const job of jobs.values()) {
    const step = job.next()
    if (step === null) continue
    running = true
    try {
      job.took(buffer.subarray(0, readSync(job.fd, buffer, 0, step.length, step.position)))
    } catch (error) {
      job.failed(error)
    }
  }
  if (running) setImmediate(round)
}
