/**
 * The limit of sockets in Node: one file over plain HTTP or TLS, divided evenly among `--connections`, with one buffer for
 * all of them and positional writes. No checks, no digest, no resume: what no careful program can reach.
 */
import { openSync, writeSync, closeSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { dir: { type: 'string' }, connections: { type: 'string' }, size: { type: 'string' } },
  allowPositionals: true,
})
const url = new URL(positionals[0])
const size = Number(values.size)
const count = Math.max(1, Math.min(Number(values.connections), Math.floor(size / 2 ** 20)))
const fd = openSync(join(values.dir, url.pathname.slice(1)), 'w')
const buffer = Buffer.allocUnsafe(256 * 1024)

function fetchPart(from, to) {
  return new Promise((resolve, reject) => {
    let at = from
    let head = ''
    const onBytes = (length, bytes) => {
      let start = 0
      if (head !== null) {
        head += bytes.latin1Slice(0, length)
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return true
        if (!/^HTTP\/1\.1 20[06] /.test(head)) reject(new Error(head.slice(0, 40)))
        start = length - (head.length - end - 4)
        head = null
      }
      writeSync(fd, bytes, start, length - start, at)
      at += length - start
      if (at === to) {
        socket.destroy()
        resolve()
      }
      return true
    }
    const options = { host: url.hostname, port: Number(url.port), onread: { buffer, callback: onBytes } }
    const socket = url.protocol === 'https:' ? connectTls(options) : connectPlain(options)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed early')))
    socket.write(
      `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nRange: bytes=${String(from)}-${String(to - 1)}\r\n\r\n`,
    )
  })
}

const bound = (index) => Math.floor((size * index) / count)
await Promise.all(Array.from({ length: count }, (_, index) => fetchPart(bound(index), bound(index + 1))))
closeSync(fd)
