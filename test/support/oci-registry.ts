/** A real registry on loopback, with its own configuration. Requires Debian's `docker-registry`. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Need } from './machine.js'
import { RunningProcess } from './process.js'
import { tempDir } from './temp.js'
import { waitFor } from './wait.js'

const command = 'docker-registry'

/** The requirement that the registry is installed. */
export const ociRegistry: Need = {
  missing: 'no docker-registry here: apt-get install docker-registry',
  available: () => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0,
}

/** A running registry. */
export class OciRegistry {
  readonly origin: string
  readonly #process: RunningProcess

  private constructor(origin: string, running: RunningProcess) {
    this.origin = origin
    this.#process = running
  }

  /**
   * Starts a registry.
   *
   * @param lines - additional lines for its configuration (YAML), such as `auth`.
   */
  static async start(lines: readonly string[] = []): Promise<OciRegistry> {
    const folder = tempDir('registry')
    const configuration = join(folder, 'config.yml')
    const own = [
      'version: 0.1',
      'storage:',
      '  filesystem:',
      `    rootdirectory: ${JSON.stringify(join(folder, 'data'))}`,
      'http:',
      '  addr: 127.0.0.1:0',
    ]
    await writeFile(configuration, [...own, ...lines, ''].join('\n'))
    const running = new RunningProcess(command, ['serve', configuration])
    const port = await waitFor(
      () => /listening on 127\.0\.0\.1:(\d+)/.exec(running.stdout + running.stderr)?.[1],
      { timeoutMs: 15_000, what: 'the registry to listen' },
    )
    return new OciRegistry(`http://127.0.0.1:${port}`, running)
  }

  /** Uploads a blob and returns its digest. */
  async pushBlob(repository: string, bytes: Buffer, headers: Record<string, string> = {}): Promise<string> {
    const begun = await this.#send('POST', `/v2/${repository}/blobs/uploads/`, { headers })
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const place = new URL(begun.headers.get('location') ?? '', this.origin)
    place.searchParams.set('digest', digest)
    const type = { 'content-type': 'application/octet-stream' }
    await this.#send('PUT', place.pathname + place.search, { headers: { ...headers, ...type }, body: bytes })
    return digest
  }

  /** Uploads a manifest under a tag or its digest, and returns its digest. */
  async pushManifest(
    repository: string,
    tag: string | null,
    manifest: { mediaType: string },
    headers: Record<string, string> = {},
  ): Promise<string> {
    const body = Buffer.from(JSON.stringify(manifest))
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    const type = { 'content-type': manifest.mediaType }
    await this.#send('PUT', `/v2/${repository}/manifests/${tag ?? digest}`, {
      headers: { ...headers, ...type },
      body,
    })
    return digest
  }

  async #send(method: string, path: string, init: { headers: Record<string, string>; body?: Buffer }) {
    const { headers, body } = init
    const response = await fetch(this.origin + path, {
      method,
      headers,
      // A Buffer may be a view of a larger ArrayBuffer, which fetch does not accept.
      body: body === undefined ? null : new Uint8Array(body),
      signal: AbortSignal.timeout(10_000),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: HTTP ${response.status} ${text}`)
    return response
  }

  /** Stops the registry. */
  async stop(): Promise<void> {
    await this.#process.kill('SIGTERM')
  }
}
