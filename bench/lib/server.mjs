/** nginx on loopback with three servers over one folder: TLS, plain, and plain at a limited rate. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { atExit } from './cleanup.mjs'

const START_MS = 10_000
const STOP_MS = 5_000
/** Bytes per second and connection, in nginx's words. */
export const LIMIT_RATE = '20m'

/**
 * @param {{ home: string, files: string }} folders `home` for configuration, key and logs; `files` is served
 * @returns {Promise<{ base: Record<'tls' | 'plain' | 'throttled', string>, ca: string, stop(): Promise<void> }>}
 */
export async function startServer({ home, files }) {
  mkdirSync(home, { recursive: true })
  const key = join(home, 'key.pem')
  const ca = join(home, 'cert.pem')
  makeCertificate(key, ca)
  const [tls, plain, throttled] = await freePorts(3)
  const config = join(home, 'nginx.conf')
  const log = join(home, 'error.log')
  writeFileSync(config, nginxConfig({ home, files, key, ca, log, tls, plain, throttled }))

  const nginx = spawn('nginx', ['-p', home, '-e', log, '-c', config], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise((resolve) => {
    nginx.once('error', resolve)
    nginx.once('exit', resolve)
  })
  const forget = atExit(() => nginx.kill('SIGTERM'))
  await untilListening([tls, plain, throttled], nginx, log)

  return {
    base: {
      tls: `https://127.0.0.1:${String(tls)}`,
      plain: `http://127.0.0.1:${String(plain)}`,
      throttled: `http://127.0.0.1:${String(throttled)}`,
    },
    ca,
    async stop() {
      nginx.kill('SIGTERM')
      const deadline = sleep(STOP_MS, 'late', { ref: false })
      if ((await Promise.race([exited, deadline])) === 'late') nginx.kill('SIGKILL')
      forget()
    },
  }
}

function nginxConfig({ home, files, key, ca, log, tls, plain, throttled }) {
  return `
daemon off;
worker_processes 2;
pid ${join(home, 'nginx.pid')};
error_log ${log} warn;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  root ${files};
  client_body_temp_path ${join(home, 'body')};
  proxy_temp_path ${join(home, 'proxy')};
  fastcgi_temp_path ${join(home, 'fastcgi')};
  uwsgi_temp_path ${join(home, 'uwsgi')};
  scgi_temp_path ${join(home, 'scgi')};
  server {
    listen 127.0.0.1:${String(tls)} ssl;
    ssl_certificate ${ca};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
  }
  server { listen 127.0.0.1:${String(plain)}; }
  server { listen 127.0.0.1:${String(throttled)}; limit_rate ${LIMIT_RATE}; }
}
`
}

function makeCertificate(key, certificate) {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  const out = ['-keyout', key, '-out', certificate, '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, ...out], { stdio: 'ignore', timeout: 10_000 })
}

/** Ports that were free a moment ago; all are held at once so that they differ. */
async function freePorts(count) {
  const holders = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', resolve)
      })
      return server
    }),
  )
  const ports = holders.map((server) => server.address().port)
  await Promise.all(holders.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function untilListening(ports, nginx, log) {
  const deadline = performance.now() + START_MS
  for (const port of ports) {
    while (!(await accepts(port))) {
      if (nginx.exitCode !== null || performance.now() > deadline) {
        throw new Error(`nginx did not start: ${readLog(log)}`)
      }
      await sleep(20)
    }
  }
}

function readLog(log) {
  try {
    return readFileSync(log, 'utf8').trim()
  } catch {
    return 'no log'
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
