/** A SOCKS server (versions 4, 4a and 5) on loopback, for tests of proxy settings. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Options of the server. */
export interface SocksServerOptions {
  /** User and password that are required (RFC 1929). Default: none. */
  credentials?: { user: string; password: string }
  /** Where all connections lead, so that any host name can be requested. Default: the requested host. */
  target?: { host: string; port: number }
  /** Reply code that refuses every connection, such as 2 for "not allowed" (RFC 1928 section 6). */
  refuseWith?: number
  /** Accepts connections, and says nothing. */
  silent?: boolean
}

/** A connection that was requested. */
export interface SocksRequest {
  version: number
  /** A name, or an address. */
  host: string
  port: number
}

/** A running server. */
export interface SocksServer extends AsyncDisposable {
  port: number
  /** The requests so far, oldest first. */
  requests: SocksRequest[]
  /** Connections that are open. */
  readonly open: number
}

/** Starts a server. Close it with `await using`. */
export async function startSocksServer(options: SocksServerOptions = {}): Promise<SocksServer> {
  const requests: SocksRequest[] = []
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
  }
  const server = createServer((client) => {
    keep(client)
    if (options.silent === true) {
      client.resume()
      return
    }
    serve(client, options, (request, answer) => {
      requests.push(request)
      if (options.refuseWith !== undefined) {
        client.end(answer(options.refuseWith))
        return
      }
      const { host, port } = options.target ?? request
      const onward = connect(port, host)
      keep(onward)
      onward.on('connect', () => {
        client.write(answer(0))
        client.pipe(onward)
        onward.pipe(client)
      })
      onward.on('close', () => client.destroy())
      client.on('close', () => onward.destroy())
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  // Only pipes have another kind of address.
  const { port } = server.address() as AddressInfo
  return {
    port,
    requests,
    get open() {
      return sockets.size
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

type OnRequest = (request: SocksRequest, answer: (code: number) => Buffer) => void

/** Reads messages, each when all of it is there, until the connection is requested. */
function serve(client: Socket, { credentials }: SocksServerOptions, onRequest: OnRequest): void {
  let bytes = Buffer.alloc(0)
  let next: (message: Buffer) => number = greeting
  client.on('data', function read(chunk: Buffer) {
    bytes = Buffer.concat([bytes, chunk])
    for (let used = next(bytes); used > 0 && bytes.length > 0; used = next(bytes)) {
      bytes = bytes.subarray(used)
      if (next === done) client.off('data', read)
    }
  })

  function done(): number {
    return 0
  }

  function greeting(message: Buffer): number {
    if (message[0] === 4) return version4(message)
    const length = 2 + (message[1] ?? 255)
    if (message.length < length) return 0
    const method = credentials === undefined ? 0 : 2
    if (!message.subarray(2, length).includes(method)) {
      client.end(Buffer.from([5, 0xff]))
      next = done
      return length
    }
    client.write(Buffer.from([5, method]))
    next = method === 0 ? version5 : login
    return length
  }

  function login(message: Buffer): number {
    const userLength = message[1] ?? 255
    const passwordLength = message[2 + userLength] ?? 255
    const length = 3 + userLength + passwordLength
    if (message.length < length) return 0
    const user = message.toString('utf8', 2, 2 + userLength)
    const password = message.toString('utf8', 3 + userLength, length)
    const isRight = user === credentials?.user && password === credentials.password
    if (isRight) client.write(Buffer.from([1, 0]))
    else client.end(Buffer.from([1, 1]))
    next = isRight ? version5 : done
    return length
  }

  function version5(message: Buffer): number {
    const addressLength = { 1: 4, 3: 1 + (message[4] ?? 255), 4: 16 }[message[3] ?? 0] ?? 255
    const length = 4 + addressLength + 2
    if (message.length < length) return 0
    const address = message.subarray(4, 4 + addressLength)
    const groups = Array.from({ length: 8 }, (_, group) => address.toString('hex', group * 2, group * 2 + 2))
    const host =
      message[3] === 1 ? address.join('.') : message[3] === 3 ? address.toString('utf8', 1) : groups.join(':')
    next = done
    onRequest({ version: 5, host, port: message.readUInt16BE(length - 2) }, (code) =>
      Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0]),
    )
    return length
  }

  function version4(message: Buffer): number {
    const endOfUser = message.indexOf(0, 8)
    const isName = message.readUIntBE(4, 3) === 0 && message[7] !== 0
    const end = isName && endOfUser !== -1 ? message.indexOf(0, endOfUser + 1) : endOfUser
    if (end === -1) return 0
    const host = isName ? message.toString('utf8', endOfUser + 1, end) : message.subarray(4, 8).join('.')
    next = done
    onRequest({ version: 4, host, port: message.readUInt16BE(2) }, (code) =>
      Buffer.from([0, code === 0 ? 90 : 91, 0, 0, 0, 0, 0, 0]),
    )
    return end + 1
  }
}
