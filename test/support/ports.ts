/**
 * Ports for servers that are restarted, or that must not exist. The system assigns ephemeral ports from 32768 on (49152
 * on other systems), so no other test gets a port below that in the meantime.
 */
import { createServer, type Server } from 'node:net'

// Browsers and fetch() block port 10080.
const first = 10_100
const count = 20_000
const attempts = 100

/** Makes a server listen on such a port. Rejects when that is not possible. */
export async function listenOnOwnPort(server: Server, host = '127.0.0.1'): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = first + Math.floor(Math.random() * count)
    try {
      await listenOn(server, port, host)
      return port
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!isTaken || attempt === attempts) throw error
    }
  }
}

/** Makes a server listen on a given port. Rejects when that is not possible. */
export async function listenOn(server: Server, port: number, host = '127.0.0.1'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: 511 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A port of this range on which no server listens. */
export async function ownPort(): Promise<number> {
  const server = createServer()
  const port = await listenOnOwnPort(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}
