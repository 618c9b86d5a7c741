/** Connections through a SOCKS proxy (RFC 1928, RFC 1929, SOCKS 4 and 4a). */
import { isIP, type Socket } from 'node:net'
import { SocksClient } from 'socks'
import { DownloadError } from '../errors.js'
import type { Connect, ConnectTarget, ResolveTarget } from './guard.js'
import type { Proxy } from './proxy-address.js'

/** Settings of {@link socksConnector}. */
export interface SocksConnectorInit<D extends ConnectTarget> {
  proxy: Proxy
  /** For reaching the proxy, and for its handshake, in milliseconds each. */
  timeoutMs: number
  /** Opens the connection to the proxy. */
  connect: Connect<ConnectTarget>
  /** Wraps connections to https servers in TLS. */
  secure: Connect<D & { httpSocket: Socket }>
  /** Resolves names for proxies that take addresses. */
  resolve: (target: ResolveTarget) => Promise<string>
}

/** Creates a connector that reaches every destination through a SOCKS proxy. */
export function socksConnector<D extends ConnectTarget>(init: SocksConnectorInit<D>): Connect<D> {
  const { proxy, connect, secure } = init
  return (options, callback) => {
    const toProxy = { hostname: proxy.host, protocol: 'http:', port: String(proxy.port) }
    return connect(toProxy, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null)
        return
      }
      negotiate(init, socket, options).then(
        () => {
          if (options.protocol === 'https:') secure({ ...options, httpSocket: socket }, callback)
          else callback(null, socket)
        },
        (reason: unknown) => {
          socket.destroy()
          callback(socksError(reason), null)
        },
      )
    })
  }
}

async function negotiate<D extends ConnectTarget>(
  { proxy, timeoutMs, resolve }: SocksConnectorInit<D>,
  socket: Socket,
  { hostname, protocol, port }: ConnectTarget,
): Promise<void> {
  const name = hostname.replace(/^\[|\]$/g, '')
  const isLocal = proxy.protocol === 'socks5' || proxy.protocol === 'socks4'
  const family = proxy.protocol === 'socks4' ? 4 : 0
  const host = isLocal && isIP(name) === 0 ? await resolve({ hostname: name, protocol, port, family }) : name
  await SocksClient.createConnection({
    proxy: {
      host: proxy.host,
      port: proxy.port,
      type: proxy.protocol.startsWith('socks4') ? 4 : 5,
      ...(proxy.credentials === null
        ? {}
        : { userId: proxy.credentials.user, password: proxy.credentials.password }),
    },
    command: 'connect',
    destination: { host, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) },
    timeout: timeoutMs,
    existing_socket: socket,
  })
}

/** Turns a refusal of the proxy into an error for users; the library has no codes, only messages. */
function socksError(error: unknown): Error {
  if (!(error instanceof Error)) return new DownloadError('CONNECT_FAILED', String(error))
  // Errors of the system and of DNS keep their codes, which net/errors.ts knows.
  if ('code' in error) return error
  const { message } = error
  const isFinal = /authentication|NotAllowed|RejectedIdent|no accepted/i.test(message)
  return new DownloadError('CONNECT_FAILED', `The SOCKS proxy could not connect (${message}).`, {
    cause: error,
    retryable: !isFinal,
  })
}
