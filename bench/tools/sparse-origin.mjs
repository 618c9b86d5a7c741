/**
 * Serves one file of zeros with ranges, however large: `node sparse-origin.mjs SIZE`, started by `fork`. Sends its port, and for each
 * request the first byte that is asked for. A number that it is sent is the size from then on.
 */
import { createServer } from 'node:http'

let size = Number(process.argv[2])
const zeros = Buffer.alloc(256 * 1024)

createServer((req, res) => {
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(req.headers.range ?? '') ?? []
  const start = Number(from)
  const end = to === '' ? size : Number(to) + 1
  process.send({ start, atMs: Date.now() })
  res.writeHead(req.headers.range === undefined ? 200 : 206, {
    'content-length': end - start,
    'content-range': `bytes ${String(start)}-${String(end - 1)}/${String(size)}`,
    'accept-ranges': 'bytes',
    etag: '"zeros"',
  })
  let left = end - start
  const more = () => {
    while (left > 0 && !res.destroyed) {
      const bytes = zeros.subarray(0, Math.min(left, zeros.length))
      left -= bytes.length
      if (!res.write(bytes)) return
    }
    if (left === 0) res.end()
  }
  res.on('drain', more)
  more()
}).listen(0, '127.0.0.1', function () {
  process.send({ port: this.address().port })
})
process.on('message', (bytes) => {
  size = bytes
})
process.on('disconnect', () => process.exit())
