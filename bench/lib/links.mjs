/** Long and slow ways to a server, made of `delay-proxy.mjs`. */
import { fileURLToPath } from 'node:url'
import { startChild } from './child-server.mjs'

const PROXY = fileURLToPath(new URL('delay-proxy.mjs', import.meta.url))

/** @typedef {{ rttMs: number, bytesPerSecond?: number }} Link `bytesPerSecond` of each connection; default no limit */

/** Starts each way once, and keeps it until the end of the benchmark. */
export class Links {
  /** @type {Map<string, string>} */
  #bases = new Map()
  #target

  /** @param {string} base address of the server, plain HTTP */
  constructor(base) {
    this.#target = new URL(base).port
  }

  /**
   * The address of the server over a link.
   * @param {Link} link
   */
  async base({ rttMs, bytesPerSecond }) {
    const rate = bytesPerSecond === undefined ? [] : ['--rate', String(bytesPerSecond)]
    const args = ['--target', this.#target, '--rtt', String(rttMs), ...rate]
    const key = args.join(' ')
    const known = this.#bases.get(key)
    if (known !== undefined) return known
    const base = `http://127.0.0.1:${String(await startChild(PROXY, args))}`
    this.#bases.set(key, base)
    return base
  }
}
