/**
 * Ports for servers that go away and come back, or that must not be there. The system gives ports from 32768 on (49152 on
 * other systems) to whoever asks for any; one from below is no other test's meanwhile.
 */
import { createServer, type Server } from 'node:net'

// Browsers and fetch() refuse 10080.
const first = 10_100
const count = 20_000
const attempts = 100

/** Lets a server listen on such a port; rejects when it can't. */
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

/** Lets a server listen on a certain port; rejects when it can't. */
export async function listenOn(server: Server, port: number, host = '127.0.0.1'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: 511 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Such a port, on which nobody listens. */
export async function ownPort(): Promise<number> {
  const server = createServer()
  const port = await listenOnOwnPort(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}
