import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { textContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { run, runBuilt, temporaryFolder } from './run.js'

const hex = 'a'.repeat(64)

describe('help and version', () => {
  it('prints the version of the package', async () => {
    const manifest = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
    const ended = await runBuilt(['--version'])
    expect(ended).toEqual({ code: 0, stdout: expect.any(String), stderr: '' })
    expect(manifest).toContain(`"version": "${ended.stdout.trim()}"`)
  })

  it('explains every option on standard output', async () => {
    const ended = await run(['get', '--help'])
    expect(ended.code).toBe(0)
    expect(ended.stderr).toBe('')
    const options = [
      'directory',
      'output',
      'mode',
      'sha256',
      'size',
      'connections',
      'concurrency',
      'header',
      'limit-rate',
    ]
    for (const option of [...options, 'no-format-check', 'force', 'json', 'quiet'])
      expect(ended.stdout).toContain(`--${option}`)
  })

  it('shows the help, as an error, when nothing is asked for', async () => {
    const ended = await runBuilt([])
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toContain('Usage: model-downloader')
  })
})

describe('wrong usage ends with 2, a message, and nothing fetched', () => {
  it.each<[string, string[], RegExp]>([
    ['no URL', ['get'], /missing required argument 'url'/],
    ['an unknown command', ['fetch', 'URL'], /unknown command/],
    ['an unknown option', ['get', 'URL', '--fast'], /unknown option '--fast'/],
    ['no URL at all', ['get', 'not a url'], /INVALID_URL/],
    ['another scheme', ['get', 'ftp://127.0.0.1/a.bin'], /Only http and https.*INVALID_URL/],
    ['a bad second URL', ['get', 'URL', 'ftp://127.0.0.1/b.bin'], /INVALID_URL/],
    ['a path as name', ['get', 'URL', '-o', 'sub/x.gguf'], /UNSAFE_FILENAME.*-d/],
    ['an absolute name', ['get', 'URL', '-o', '/tmp/x.gguf'], /UNSAFE_FILENAME/],
    ['a reserved name', ['get', 'URL', '-o', 'CON.gguf'], /UNSAFE_FILENAME/],
    ['a name of dots', ['get', 'URL', '-o', '..'], /UNSAFE_FILENAME/],
    ['a name too long', ['get', 'URL', '-o', 'x'.repeat(300)], /UNSAFE_FILENAME/],
    ['one name for two', ['get', 'URL', 'URL?2', '-o', 'x'], /--output can be used with a single URL only/],
    [
      'one digest for two',
      ['get', 'URL', 'URL?2', '--sha256', hex],
      /--sha256 can be used with a single URL only/,
    ],
    ['one size for two', ['get', 'URL', 'URL?2', '--size', '1'], /--size can be used with a single URL only/],
    ['a bad mode', ['get', 'URL', '--mode', '../up'], /INVALID_OPTIONS/],
    ['a bad digest', ['get', 'URL', '--sha256', 'abc'], /64 hexadecimal digits/],
    ['a bad size', ['get', 'URL', '--size', '-1'], /whole number/],
    ['no connection', ['get', 'URL', '--connections', '0'], /from 1 to 64/],
    ['a bad concurrency', ['get', 'URL', '--concurrency', '1001'], /from 1 to 1000/],
    ['a bad rate', ['get', 'URL', '--limit-rate', '10X'], /bytes per second/],
    ['a bad size', ['serve', '--remote-max-size', 'big'], /number of bytes/],
    ['a missing file of certificates', ['get', 'URL', '--ca', 'no.pem'], /can't be read \(ENOENT\)/],
    ['no certificate', ['get', 'URL', '--ca', '/dev/null'], /certificates in PEM/],
    [
      'a proxy that is none',
      ['get', 'URL', '--proxy', 'ftp://me:secret@host'],
      /^error: option '--proxy <url>' argument 'ftp:\/\/…@host' is invalid\. Expected the address of a proxy/,
    ],
    ['a bad header', ['get', 'URL', '--header', 'nothing'], /Name: value/],
    ['a header of the engine', ['get', 'URL', '--header', 'Range: bytes=0-1'], /INVALID_OPTIONS/],
  ])('%s', async (_name, args, message) => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const real = args.map((argument) => argument.replace(/^URL/, origin.url('/a.bin')))
    const ended = await run(real, { cwd: folder.path })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr.replace(/\s+/g, ' ')).toMatch(message)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
    expect(origin.requests()).toEqual([])
    expect(await readdir(folder.path)).toEqual([])
  })

  it('trusts the authorities of --ca, and no others', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin({ tls: true })
    origin.serve('/a.bin', { content: textContent('x') })
    const args = ['get', origin.url('/a.bin'), '-d', folder.path]
    // The tests trust their authority by NODE_EXTRA_CA_CERTS.
    const env = { NODE_EXTRA_CA_CERTS: '' }
    const refused = await runBuilt([...args, '--retries', '0'], { env })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('TLS_ERROR')
    const ca = fileURLToPath(new URL('../support/certs/ca.pem', import.meta.url))
    expect(await runBuilt([...args, '--ca', ca], { env })).toMatchObject({ code: 0 })
  })

  it('keeps passwords and tokens out of the message', async () => {
    const ended = await run([
      'get',
      'ftp://me:hunter2@127.0.0.1/a.bin?token=hunter2',
      '--header',
      'Authorization: hunter2',
    ])
    expect(ended.code).toBe(2)
    expect(ended.stderr).not.toContain('hunter2')
  })
})
