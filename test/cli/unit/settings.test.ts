import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../../src/cli/program.js'
import { applySettings } from '../../../src/cli/settings/apply.js'
import { type ConfigFile, isHarmless, settingsOf, variableOf } from '../../../src/cli/settings/config.js'
import { givenConfig, userFile } from '../../../src/cli/settings/files.js'
import { skipFor, symlinks } from '../../support/machine.js'
import { tempDir } from '../../support/temp.js'

const nothing = () => Promise.resolve()
const folder = tempDir('settings')
const file = (value: unknown, trusted = true, name = 'c.json'): ConfigFile => ({
  name,
  folder,
  trusted,
  value,
})

/** The options of a command line with settings. */
async function optionsOf(
  args: string[],
  files: readonly ConfigFile[] = [],
  env: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  let options: Record<string, unknown> = {}
  const program = createProgram('1', { get: nothing, preload: nothing, serve: nothing, files: nothing })
  program.hook('preAction', async (_program, command) => {
    await applySettings(command, files, env)
    options = command.opts()
  })
  await program.parseAsync(args, { from: 'user' })
  return options
}

const get = ['get', 'https://a.example/x']

describe('settings', () => {
  it('come from the arguments, the environment, the near file and the far one, in this order', async () => {
    const near = file({ connections: 3, timeout: 3, retries: 3 })
    const far = file({ connections: 4, timeout: 4, retries: 4, 'limit-rate': '4k' })
    const env = { MODEL_DOWNLOADER_CONNECTIONS: '2', MODEL_DOWNLOADER_TIMEOUT: '2' }
    expect(await optionsOf([...get, '--connections', '1'], [near, far], env)).toMatchObject({
      connections: 1,
      timeout: 2,
      retries: 3,
      limitRate: 4096,
    })
  })

  it('take precedence over defaults, and those of a command over those of all', async () => {
    const shared = {
      directory: 'all',
      quiet: true,
      get: { directory: 'own', header: ['A: 1', 'B: 2'], adopt: false },
    }
    expect(await optionsOf(get, [file(shared)])).toMatchObject({
      directory: join(folder, 'own'),
      header: { A: '1', B: '2' },
      adopt: false,
      quiet: true,
    })
    expect(await optionsOf(['serve'], [file(shared)])).toMatchObject({
      directory: join(folder, 'all'),
      port: 8050,
    })
  })

  it('may be true, false and lists in the environment', async () => {
    const env = {
      MODEL_DOWNLOADER_ADOPT: 'no',
      MODEL_DOWNLOADER_OFFLINE: 'TRUE',
      MODEL_DOWNLOADER_NETRC: '1',
      MODEL_DOWNLOADER_HEADER: 'A: 1\nB: 2',
      MODEL_DOWNLOADER_SHA256: 'of another program',
      MODEL_DOWNLOADER_RETRIES: '',
    }
    expect(await optionsOf(get, [], env)).toMatchObject({
      adopt: false,
      offline: true,
      netrc: '',
      header: { A: '1', B: '2' },
    })
    expect(await optionsOf(get, [], env)).not.toHaveProperty('sha256')
    expect(await optionsOf(get, [], { MODEL_DOWNLOADER_NETRC: '0' })).not.toHaveProperty('netrc')
  })

  it.each([
    [{ conections: 3 }, /c\.json.*not valid.*conections/],
    [{ get: { port: 1 } }, /get: .*port/],
    [{ offline: 'yes' }, /offline: /],
    [{ layout: 'tree' }, /layout: /],
    [{ connections: 0 }, /c\.json: connections: .*1 to 64/],
    [{ sha256: 'x' }, /sha256/],
    [[], /not valid/],
    [null, /not valid/],
    [{ constructor: 1 }, /constructor/],
  ])('are checked: %j', async (value, message) => {
    await expect(optionsOf(get, [file(value)])).rejects.toThrow(message)
  })

  it('are checked in the environment', async () => {
    await expect(optionsOf(get, [], { MODEL_DOWNLOADER_OFFLINE: 'maybe' })).rejects.toThrow(
      /MODEL_DOWNLOADER_OFFLINE: Expected 1 or 0/,
    )
    await expect(optionsOf(get, [], { MODEL_DOWNLOADER_CONNECTIONS: 'x' })).rejects.toThrow(
      /MODEL_DOWNLOADER_CONNECTIONS: Expected a whole number/,
    )
  })
})

describe('a file that lies in the working directory', () => {
  it('may set what does no harm, and nothing else, whatever is added', async () => {
    const { commands } = createProgram('1', {
      get: nothing,
      preload: nothing,
      serve: nothing,
      files: nothing,
    })
    const names = new Set(commands.flatMap((command) => [...settingsOf(command).keys()]))
    expect([...names].filter(isHarmless).sort()).toEqual([
      ...[
        'adopt',
        'concurrency',
        'connectTimeout',
        'connections',
        'directory',
        'json',
        'keepPaths',
        'layout',
      ],
      ...[
        'limitRate',
        'locale',
        'mode',
        'offline',
        'quiet',
        'restrictNames',
        'retries',
        'timeout',
        'verbose',
        'xet',
      ],
    ])
    expect(await optionsOf(get, [file({ connections: 3, directory: 'models' }, false)])).toMatchObject({
      connections: 3,
      directory: join(folder, 'models'),
    })
  })

  it.each([
    { exec: 'sh' },
    { get: { exec: 'sh', execArg: ['x'] } },
    { preload: { exec: 'sh' } },
    { proxy: 'http://evil.test' },
    { ca: 'ca.pem' },
    { header: 'A: b' },
    { netrc: true },
    { cookies: 'jar' },
    { logFile: '/etc/cron.d/x' },
    { formatCheck: false },
    { serve: { allowPrivateNetwork: true } },
    { serve: { allowHost: ['10.0.0.1'] } },
    { serve: { host: '0.0.0.0', token: 'known' } },
    { serve: { cors: '*' } },
    { linkedModes: true },
    { directory: '../elsewhere' },
    { directory: '/etc' },
  ])('is refused with %j, unless it is named', async (value) => {
    await expect(optionsOf(get, [file(value, false)])).rejects.toThrow(/--config c\.json/)
  })

  it('does not lead out of its folder by a link', async (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    symlinkSync(tempDir('settings-elsewhere'), join(folder, 'link'))
    await expect(optionsOf(get, [file({ directory: 'link/x' }, false)])).rejects.toThrow(/leads out/)
  })
})

describe('the files with settings', () => {
  it('are where the platform keeps them', () => {
    const home = join(folder, 'home')
    expect(userFile({}, home, 'linux')).toBe(join(home, '.config/model-downloader/config.json'))
    expect(userFile({ XDG_CONFIG_HOME: folder }, home, 'linux')).toBe(
      join(folder, 'model-downloader/config.json'),
    )
    expect(userFile({ XDG_CONFIG_HOME: 'relative' }, null, 'linux')).toBeNull()
    expect(userFile({}, home, 'darwin')).toBe(
      join(home, 'Library/Application Support/model-downloader/config.json'),
    )
    expect(userFile({ APPDATA: folder }, home, 'win32')).toBe(join(folder, 'model-downloader/config.json'))
  })

  it('are named by the last --config, or by the environment', () => {
    const env = { MODEL_DOWNLOADER_CONFIG: 'e' }
    expect(givenConfig(['get', '--config', 'a', '--config=b'], env)).toBe('b')
    expect(givenConfig(['get', '--', '--config', 'a'], env)).toBe('e')
    expect(givenConfig(['get', '--config'], {})).toBeNull()
    expect(variableOf('limitRate')).toBe('MODEL_DOWNLOADER_LIMIT_RATE')
  })
})
