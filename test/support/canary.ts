/** Forbidden hosts in every spelling, and a listener that none of them may reach. Does not require vitest. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A server on the loopback addresses, on the same port of each, that counts connections. */
export interface Canary extends AsyncDisposable {
  readonly port: number
  /** Whether this machine has an IPv6 loopback too. */
  readonly ipv6: boolean
  /** Number of connections so far. */
  readonly connections: number
  /** Number of bytes received so far. */
  readonly bytes: number
}

function listen(host: string, port: number): Promise<Server | null> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      // A machine without IPv6 has no such loopback.
      if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') resolve(null)
      else reject(error)
    })
    server.listen(port, host, () => {
      resolve(server)
    })
  })
}

/** Starts a {@link Canary}. It closes every connection when data arrives. */
export async function startCanary(): Promise<Canary> {
  const first = await listen('127.0.0.1', 0)
  if (first === null) throw new Error('There is no loopback.')
  // Only pipes have another kind of address.
  const { port } = first.address() as AddressInfo
  const second = await listen('::1', port)
  const servers = [first, ...(second === null ? [] : [second])]
  const sockets = new Set<Socket>()
  let connections = 0
  let bytes = 0
  for (const server of servers) {
    server.on('connection', (socket) => {
      connections += 1
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        bytes += data.length
        socket.destroy()
      })
    })
  }
  return {
    port,
    ipv6: second !== null,
    get connections() {
      return connections
    },
    get bytes() {
      return bytes
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))))
    },
  }
}

/** Spellings of 127.0.0.1 and ::1. Without an address policy, each of them reaches the canary. */
export const loopbackSpellings = [
  ...['127.0.0.1', '127.1', '127.0.1', '2130706433', '127.0.0.1.', '127.1.', '127.000.000.001'],
  ...['0x7f000001', '0X7F000001', '0x7f.0.0.1', '0x7f.1', '0x7f.0x0.0x0.0x1', '0x0000007f.1', '127.0.0.0x1'],
  ...['0177.0.0.1', '0177.1', '017700000001', '0177.0x0.1', '00000177.0.0.01', '127.0.0.01'],
  ...['%31%32%37.0.0.1', '127%2E0%2E0%2E1', '127%2e1', '%30x7f.1'],
  // Full-width digits and stops, ideographic stops, circled and bold digits.
  ...['\uff11\uff12\uff17.\uff10.\uff10.\uff11', '127\u30020\u30020\u30021', '127\uff0e0\uff0e0\uff0e1'],
  ...[
    '127\uff610\uff610\uff611',
    '\u2460\u2461\u2466.1',
    '\u{1d7cf}\u{1d7d0}\u{1d7d5}.1',
    '\uff10\uff58\uff17\uff46.1',
  ],
  ...[
    'localhost',
    'LOCALHOST',
    'LocalHost',
    'loc%61lhost',
    '\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54',
  ],
  ...['\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3', 'local\u00adhost'],
  ...['0', '0.0.0.0', '0x0', '00.0', '0.0.0.0.'],
  ...[
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[0000:0000:0000:0000:0000:0000:0000:0001]',
    '[::0.0.0.1]',
    '[0::1]',
    '[::]',
  ],
  ...[
    '[::ffff:127.0.0.1]',
    '[::FFFF:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:127.0.0.1]',
    '[::ffff:0:0]',
  ],
]

/** Other hosts that remote callers may not reach. */
export const otherForbidden = [
  ...['127.0.0.2', '127.255.255.254', '0.0.0.1', '0.1.2.3'],
  ...['10.0.0.1', '10.255.255.255', '0xa.1', '012.0.0.1', '167772161'],
  ...['172.16.0.1', '172.31.255.255', '0xac100001', '0254.020.0.1'],
  ...['192.168.0.1', '192.168.1.1', '192.168.257', '3232235777', '0xc0a80101', '0300.0250.1.1'],
  ...['169.254.169.254', '169.254.1', '2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '169.254.169.254.'],
  ...['\uff11\uff16\uff19.254.169.254', '168.63.129.16', '0xa83f8110', '100.64.0.1', '100.100.100.200'],
  ...['192.0.0.192', '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.51.100.1', '203.0.113.1'],
  ...['224.0.0.1', '239.255.255.250', '240.0.0.1', '255.255.255.255', '0xffffffff', '4294967295'],
  ...[
    'localhost.',
    'a.localhost',
    'a.b.localhost.',
    'localhost.localdomain',
    'ip6-localhost',
    'ip6-loopback',
  ],
  ...['metadata.google.internal', 'METADATA.google.internal.', 'printer.local', 'router.home.arpa'],
  ...['[::127.0.0.1]', '[::7f00:1]', '[::ffff:0:127.0.0.1]', '[::ffff:10.0.0.1]', '[::ffff:169.254.169.254]'],
  ...['[::ffff:8.8.8.8]', '[64:ff9b::127.0.0.1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::7f00:1]'],
  ...['[2002:7f00:1::]', '[2002:7f00:1::1]', '[2001:0:7f00:1::]', '[2001:0:4136:e378:8000:63bf:80ff:fffe]'],
  ...[
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[fd20:ce::254]',
    '[fe80::1]',
    '[fe80::a9fe:a9fe]',
    '[fec0::1]',
    '[ff02::1]',
  ],
  ...['[100::1]', '[2001:db8::1]', '[2001:10::1]', '[3fff::1]', '[5f00::1]'],
]
