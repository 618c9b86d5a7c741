/**
 * FAULTS.md rows 42 and 43 with the system's own resolver: in a network of its own, where this machine has public
 * addresses and `/etc/hosts` says what names mean, from one moment to the next.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { caPath, certificatePaths, keyPath } from '../support/certificate.js'
import { describeWith, namespaces, spawnUnder } from '../support/machine.js'
import { root } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { fastTuning } from './harness.js'

const ipv4 = '93.184.215.14'
const ipv6 = '2606:2800:21f:cb07::1'
const size = 400_000

/** A server on every address; what a download of a remote caller becomes, and by which addresses it came. */
const setting = `
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { DownloadManager } from ${JSON.stringify(join(root, 'dist/index.js'))}
const folder = process.argv[1]
const body = Buffer.alloc(${size}, 'model')
const reached = []
let cut = false
const serve = (request, response) => {
  const [, start] = /^bytes=(\\d+)-/.exec(request.headers.range ?? '') ?? [null, '0']
  const rest = body.subarray(Number(start))
  const range = 'bytes ' + start + '-' + (body.length - 1) + '/' + body.length
  response.writeHead(206, { 'Content-Range': range, 'Content-Length': rest.length, ETag: '"one"' })
  if (!cut) return response.end(rest)
  response.write(rest.subarray(0, 100_000), () => setTimeout(() => { rebind(); request.socket.destroy() }, 50))
}
const rebind = () => hosts(['127.0.0.1'])
const hosts = (addresses) => writeFileSync('/etc/hosts', addresses.map((one) => one + ' model.example elsewhere.invalid\\n').join(''))
const tls = { key: readFileSync(${JSON.stringify(keyPath)}), cert: readFileSync(${JSON.stringify(certificatePaths.otherHost)}) }
for (const [server, port] of [[createServer(serve), 80], [createTlsServer(tls, serve), 443]]) {
  server.on('connection', (socket) => reached.push(socket.localAddress.replace('::ffff:', '')))
  await new Promise((resolve) => server.listen(port, '::', resolve))
  server.unref()
}
const manager = new DownloadManager({
  directory: folder + '/models', defaultMode: null, store: 'memory', connections: 1,
  tuning: ${JSON.stringify(fastTuning)},
})
const retries = []
manager.on('retrying', ({ error }) => retries.push(error.code))
const fetch = async (url, remote = true) => {
  const download = await manager.download({ url, remote, filename: 'model.bin', force: true })
  return download.finished.then((file) => 'done ' + file.size, (error) => error.code)
}
`

describeWith(namespaces, 'rows 42 and 43, in a network of its own', () => {
  async function run(script: string): Promise<unknown> {
    const folder = tempDir('network')
    writeFileSync(join(folder, 'hosts'), '')
    const commands = [
      'set -e',
      'ip link set lo up',
      `ip addr add ${ipv4}/32 dev lo`,
      `ip addr add ${ipv6}/128 dev lo`,
      'mount --bind "$0/hosts" /etc/hosts',
      'exec "$@"',
    ]
    const wrapper = ['unshare', '-n', '-m', 'sh', '-c', commands.join('\n'), folder]
    const ending =
      'console.log(JSON.stringify({ ends, retries, reached: [...new Set(reached)] }))\nawait manager.close()'
    const args = ['--input-type=module', '-e', `${setting}\n${script}\n${ending}`, folder]
    const env = { NODE_EXTRA_CA_CERTS: caPath }
    const { code, stdout, stderr } = await spawnUnder(wrapper, args, { env }).finished(15_000)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    return JSON.parse(stdout)
  }

  it.each([
    ['a name with both kinds of address', [ipv4, ipv6], 'http://model.example/'],
    ['an IPv4 name, over https', [ipv4], 'https://elsewhere.invalid/'],
    ['an IPv6 name, over https', [ipv6], 'https://elsewhere.invalid/'],
    ['an IPv4 address', [], `http://${ipv4}/`],
    ['an IPv6 address', [], `http://[${ipv6}]/`],
  ])('row 42: %s that is public is fetched from as ever', async (_, addresses, url) => {
    const seen = await run(`
      hosts(${JSON.stringify(addresses)})
      const ends = [await fetch('${url}model.bin')]`)
    expect(seen).toMatchObject({ ends: [`done ${size}`], retries: [] })
    expect(seen).toHaveProperty('reached.length', 1)
    expect(seen).not.toHaveProperty('reached.0', '127.0.0.1')
  })

  it('row 42: a name with one address inside is refused, in any order; a trusted caller goes there', async () => {
    const seen = await run(`
      const ends = []
      for (const addresses of [['${ipv4}', '127.0.0.1'], ['127.0.0.1', '${ipv4}'], ['::1'], ['0.0.0.0']]) {
        hosts(addresses)
        ends.push(await fetch('http://model.example/model.bin'), await fetch('https://elsewhere.invalid/a'))
      }
      if (reached.length > 0) throw new Error('It went to ' + reached)
      hosts(['127.0.0.1'])
      ends.push(await fetch('http://model.example/model.bin', false))`)
    const ends = [...Array<string>(8).fill('SSRF_BLOCKED'), `done ${size}`]
    expect(seen).toEqual({ ends, retries: [], reached: ['127.0.0.1'] })
  })

  it('row 43: a name that leads inside from the first byte on is not followed there', async () => {
    const seen = await run(`
      hosts(['${ipv4}'])
      cut = true
      const ends = [await fetch('http://model.example/model.bin')]
      cut = false
      ends.push(await manager.retry('http://model.example/model.bin').then(({ finished }) => finished).catch(({ code }) => code))
      hosts(['${ipv4}'])
      ends.push(await fetch('http://model.example/model.bin'))`)
    const ends = ['SSRF_BLOCKED', 'SSRF_BLOCKED', `done ${size}`]
    expect(seen).toEqual({ ends, retries: ['TRUNCATED'], reached: [ipv4] })
  })
})
