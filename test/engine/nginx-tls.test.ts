/** Trust in a certificate authority is given to Node when it starts, so these run the command line. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { KiB, MiB } from '../faults/harness.js'
import { jsonLines } from '../cli/run.js'
import { caPath } from '../support/certificate.js'
import { randomContent } from '../support/content.js'
import { describeWithNginx } from '../support/nginx.js'
import { runCli, spawnCli } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { mostAtOnce, startNginxBench, type NginxBench } from './nginx-bench.js'

const first = randomContent(8 * MiB, 'first')
const second = randomContent(8 * MiB, 'second')
const env = { NODE_EXTRA_CA_CERTS: caPath }

function get(bench: NginxBench, directory: string, ...more: string[]): string[] {
  const common = ['-d', directory, '--connections', '4', '--json']
  return ['get', bench.nginx.url('/model.bin'), ...common, ...more]
}

/** Runs the command until some of the file is there, then stops it as Ctrl-C does. */
async function interrupt(bench: NginxBench, directory: string): Promise<number> {
  await using running = spawnCli(get(bench, directory, '--limit-rate', '4M'), { env })
  const downloaded = () =>
    Math.max(0, ...[...running.stdout.matchAll(/"downloaded":(\d+)/g)].map((match) => Number(match[1])))
  await waitFor(() => downloaded() > 2 * MiB, { timeoutMs: 10_000, what: 'a part of the file' })
  const { code } = await running.kill('SIGINT')
  expect(code).toBe(130)
  expect(await listTree(directory)).toEqual(expect.arrayContaining(['model.bin.part', 'model.bin.part.json']))
  return downloaded()
}

describeWithNginx('nginx over TLS', () => {
  it('brings the right file over several connections', async () => {
    await using bench = await startNginxBench({ tls: true })
    const content = randomContent(64 * MiB)
    await bench.put('model.bin', content)
    const directory = join(tempDir('nginx-tls'), 'models')
    const ended = await runCli(get(bench, directory, '--sha256', content.sha256()), {
      env,
      timeoutMs: 15_000,
    })
    expect(ended.code).toBe(0)
    expect(jsonLines(ended.stdout).at(-1)).toMatchObject({
      type: 'completed',
      size: content.size,
      sha256: content.sha256(),
      verified: true,
    })
    expect(await sha256File(join(directory, 'model.bin'))).toBe(content.sha256())
    const log = await bench.log()
    expect(new Set(log.map(({ connection }) => connection)).size).toBeGreaterThanOrEqual(4)
    expect(mostAtOnce(log)).toBeLessThanOrEqual(4)
  })

  it('row 23: refuses a certificate that nobody vouches for, without a retry', async () => {
    await using bench = await startNginxBench({ tls: true })
    await bench.put('model.bin', first)
    const directory = join(tempDir('nginx-tls'), 'models')
    const ended = await runCli(get(bench, directory), { timeoutMs: 15_000 })
    expect(ended.code).toBe(1)
    const lines = jsonLines(ended.stdout)
    expect(lines.at(-1)).toMatchObject({ type: 'failed', code: 'TLS_ERROR' })
    expect(lines.filter(({ type }) => type === 'retrying')).toEqual([])
    expect((await listTree(directory)).filter((name) => name.startsWith('model.bin'))).toEqual([])
  })

  it('goes on after an interruption mid-way', async () => {
    await using bench = await startNginxBench({ tls: true })
    await bench.put('model.bin', first)
    const directory = join(tempDir('nginx-tls'), 'models')
    const kept = await interrupt(bench, directory)
    const ended = await runCli(get(bench, directory), { env, timeoutMs: 15_000 })
    expect(ended.code).toBe(0)
    const lines = jsonLines(ended.stdout)
    expect(lines.at(-1)).toMatchObject({ type: 'completed', sha256: first.sha256() })
    const told = lines.filter(({ type }) => type === 'progress').map(({ downloaded }) => Number(downloaded))
    expect(Math.min(...told.filter((bytes) => bytes > 0))).toBeGreaterThanOrEqual(kept)
    expect(await sha256File(join(directory, 'model.bin'))).toBe(first.sha256())
  })

  it('row 9: brings the second version when the file is replaced in between', async () => {
    await using bench = await startNginxBench({ tls: true })
    await bench.put('model.bin', first)
    const directory = join(tempDir('nginx-tls'), 'models')
    await interrupt(bench, directory)
    await bench.put('model.bin', second)
    const ended = await runCli(get(bench, directory), { env, timeoutMs: 15_000 })
    expect(ended.code).toBe(0)
    expect(jsonLines(ended.stdout).at(-1)).toMatchObject({ type: 'completed', sha256: second.sha256() })
    expect(await sha256File(join(directory, 'model.bin'))).toBe(second.sha256())
  })

  it('uses its connections again for 400 small files in one call', async () => {
    await using bench = await startNginxBench({ tls: true })
    const content = randomContent(4 * KiB)
    const names = Array.from({ length: 400 }, (_, index) => `f${String(index).padStart(3, '0')}.bin`)
    for (const name of names) await bench.put(name, content)
    const directory = tempDir('nginx-tls')
    const urls = names.map((name) => bench.nginx.url(`/${name}`))
    const ended = await runCli(['get', ...urls, '-d', directory, '--concurrency', '8', '--quiet'], {
      env,
      timeoutMs: 15_000,
    })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect((await listTree(directory)).filter((name) => name.startsWith('f'))).toEqual(names)
    const log = await bench.log()
    expect(log).toHaveLength(400)
    // A machine that stalls lets an idle connection end.
    expect(new Set(log.map(({ connection }) => connection)).size).toBeLessThanOrEqual(16)
  })
})
