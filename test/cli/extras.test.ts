/** What a run does besides downloading: logins, cookies, a command for each file, a log. */
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { jsonLines, run, runBuilt } from './run.js'

const content = randomContent(50_000)

describe('--netrc and --cookies', () => {
  it('send what belongs to a host, and nothing to the host of a redirect', async () => {
    await using origin = await startOrigin()
    await using other = await startOrigin()
    origin.serve('/a.bin', { content })
    origin.serve('/moved.bin', { redirect: other.url('/b.bin').replace('127.0.0.1', 'localhost') })
    other.serve('/b.bin', { content })
    const home = tempDir('cli-home')
    await writeFile(join(home, '.netrc'), 'machine 127.0.0.1 login me password pw\n')
    await writeFile(join(home, 'jar'), '127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tabc\n')
    const urls = [origin.url('/a.bin'), origin.url('/moved.bin')]
    const args = ['get', '--cookies', join(home, 'jar'), '--netrc', ...urls, '-d', home]
    const env = { HOME: home, USERPROFILE: home, NETRC: '', NO_PROXY: '*' }
    const ended = await run(args, { env })
    expect(ended.code, ended.stderr).toBe(0)
    const secret = `Basic ${Buffer.from('me:pw').toString('base64')}`
    for (const { headers } of origin.requests())
      expect(headers).toMatchObject({ authorization: secret, cookie: 'session=abc' })
    expect(other.requests().length).toBeGreaterThan(0)
    for (const { headers } of other.requests()) {
      expect(headers['authorization']).toBeUndefined()
      expect(headers['cookie']).toBeUndefined()
    }
    expect(ended.stderr).not.toContain('pw')
  })

  it.each([
    [['--netrc', 'missing'], /--netrc: missing can't be read \(ENOENT\)/],
    [['--cookies', 'jar'], /--cookies: jar has no cookies.*line 1/],
    [['--exec', 'no-such-program'], /--exec: there is no program/],
    [['--exec', 'echo done'], /--exec-arg/],
    [['--exec-arg', 'x'], /--exec/],
    [['--log-file', 'missing/log'], /--log-file: .*ENOENT/],
    [['-v', '--quiet'], /--quiet and --verbose/],
  ])('and what goes with them is checked first: %j', async (options, message) => {
    await using origin = await startOrigin()
    const cwd = tempDir('cli-extras')
    await writeFile(join(cwd, 'jar'), '[{"name":"secret"}]')
    const ended = await run(['get', origin.url('/a.bin'), ...options], { cwd })
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) })
    expect(ended.stderr).not.toContain('secret')
    expect(origin.requests()).toEqual([])
  })
})

describe('--exec', () => {
  const script = [
    "const { appendFileSync } = require('node:fs')",
    'const [out, ...args] = process.argv.slice(2)',
    'const { MODEL_DOWNLOADER_FILE_SHA256: sha256 } = process.env',
    "appendFileSync(out, JSON.stringify([args, sha256]) + '\\n')",
    "console.log('seen')",
    "process.exit(args.some((arg) => arg.includes('bad')) ? 3 : 0)",
  ].join('\n')

  it('runs a program for each file, without a shell, and tells of its failure', async () => {
    await using origin = await startOrigin()
    for (const name of ['/good.bin', '/bad.bin']) origin.serve(name, { content })
    const cwd = tempDir('cli-exec')
    await writeFile(join(cwd, 'hook.cjs'), script)
    const hook = ['hook.cjs', 'out', '{}', '; touch pwned'].flatMap((arg) => ['--exec-arg', arg])
    const named = `$(touch pwned) good.bin=${origin.url('/good.bin')}`
    const args = [
      'get',
      named,
      origin.url('/bad.bin'),
      '--exec',
      process.execPath,
      ...hook,
      '--log-file',
      'log',
    ]
    const ended = await run(args, { cwd })
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/^error: bad\.bin: the command ended with code 3$/m)
    expect(ended.stderr).toMatch(/^seen$/m)
    expect(ended.stdout).not.toContain('seen')
    const calls = (await readFile(join(cwd, 'out'), 'utf8')).trim().split('\n')
    expect(calls.map((call) => JSON.parse(call) as unknown).sort()).toEqual([
      [[join(cwd, '$(touch pwned) good.bin'), '; touch pwned'], content.sha256()],
      [[join(cwd, 'bad.bin'), '; touch pwned'], content.sha256()],
    ])
    await expect(stat(join(cwd, 'pwned'))).rejects.toThrow()
    const log = await readFile(join(cwd, 'log'), 'utf8')
    expect(log).toMatch(/^\d{4}-\d\d-\d\dT\S+Z start: http/m)
    expect(log).toMatch(/Z error: bad\.bin: the command ended with code 3$/m)
    expect((await stat(join(cwd, 'log'))).mode & 0o077).toBe(0)
  })

  it('runs for every file of a group, and reports it with --json', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'a.json': textContent('{}'), 'sub/b.json': textContent('[]') } })
    const directory = tempDir('cli-exec')
    const program = join(directory, 'hook')
    await writeFile(program, '#!/bin/sh\necho "got $1"\n')
    await chmod(program, 0o755)
    const env = { HF_ENDPOINT: hub.url, XDG_CACHE_HOME: directory }
    const ended = await run(['get', 'hf:owner/model', '-d', directory, '--exec', program, '--json'], { env })
    expect(ended.code, ended.stderr).toBe(0)
    const lines = jsonLines(ended.stdout)
    const paths = ['a.json', 'sub/b.json'].map((path) => join(directory, 'model', path))
    expect(lines.filter(({ type }) => type === 'executed')).toEqual(
      paths.map((path) => expect.objectContaining({ path, exitCode: 0 }) as unknown),
    )
    expect(lines.filter(({ type }) => type === 'output')).toMatchObject(
      paths.map((path) => ({ text: `got ${path}` })),
    )
  })
})

describe('settings', () => {
  it('come from files and the environment, and a file of others runs nothing', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content })
    const cwd = tempDir('cli-settings')
    const env = { XDG_CONFIG_HOME: join(cwd, 'none'), MODEL_DOWNLOADER_MODE: 'llm' }
    const near = 'model-downloader.config.json'
    await writeFile(join(cwd, near), '{"directory":"models"}')
    const args = ['get', origin.url('/a.bin')]
    const ended = await run(args, { cwd, env })
    expect(ended).toMatchObject({ code: 0, stdout: `${join(cwd, 'models/llm/a.bin')}\n` })
    const marker = join(cwd, 'pwned')
    await writeFile(join(cwd, near), JSON.stringify({ exec: process.execPath, execArg: ['-p', marker] }))
    const refused = await run(args, { cwd, env })
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/sets exec, execArg.*--config/) })
    expect((await run([...args, '--config', near, '-v'], { cwd, env })).stderr).toMatch(
      /command ended with code/,
    )
    expect(await run([...args, '--config', 'none', '--mode', 'other'], { cwd, env })).toMatchObject({
      code: 0,
    })
    expect(await run([...args, '--config', 'missing.json'], { cwd, env })).toMatchObject({ code: 2 })
    await writeFile(join(cwd, near), '{')
    expect((await run(args, { cwd, env })).stderr).toMatch(/not valid JSON/)
    expect(await run(['get', '--help'], { cwd, env })).toMatchObject({ code: 0 })
  })
})

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish', 'powershell'])('has a script for %s', async (shell) => {
    const ended = await runBuilt(['completion', shell])
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(ended.stdout).toMatch(/complete[^]*model-downloader|model-downloader complete/)
  })

  it('completes what the commands define, and leaves paths to the shell', async () => {
    const words = async (...typed: string[]) => {
      const { stdout } = await runBuilt(['complete', '--', ...typed])
      return stdout.split('\n').map((line) => line.split('\t')[0])
    }
    expect(await words('pre')).toEqual(['preload', ':4', ''])
    expect(await words('get', '--keep')).toEqual(['--keep-paths', ':4', ''])
    expect(await words('serve', '--layout', 'hf')).toEqual(['hf-cache', ':4', ''])
    for (const typed of [
      ['get', '-d', ''],
      ['get', '--ca=x'],
      ['preload', 'mod'],
    ])
      expect(await words(...typed)).toEqual([':0', ''])
  })

  it('knows no other shell', async () => {
    expect(await run(['completion', 'tcsh'])).toMatchObject({ code: 2, stdout: '' })
  })
})
