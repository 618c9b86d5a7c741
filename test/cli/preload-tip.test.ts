import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { DownloadManager } from '../../src/manager/manager.js'
import { startOrigin } from '../support/origin.js'
import { cliPath, RunningProcess, type RunResult } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { MiB, serveModel, startServeProcess, writeCatalog } from './serving.js'

/** A project as hosts have it: the package installed at its root, a backend below, and folders with awkward names. */
function makeProject(): { root: string; backend: string; home: string } {
  const root = path.join(tempDir('tip'), "the user's project & 模型")
  const backend = path.join(root, 'apps', 'back end')
  mkdirSync(backend, { recursive: true })
  writeFileSync(path.join(root, 'package.json'), '{ "name": "host", "private": true }')
  writeFileSync(path.join(backend, 'package.json'), '{ "name": "backend", "private": true }')
  const bin = path.join(root, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  chmodSync(cliPath, 0o755)
  symlinkSync(cliPath, path.join(bin, 'model-downloader'))
  return { root, backend, home: tempDir('home') }
}

/** The commands of a tip, in order. */
function commandsOf(tip: string): string[] {
  return tip.split('\n').flatMap((line) => (line.startsWith('  npx ') ? [line.trim()] : []))
}

/** Pastes a command into a real shell. */
async function paste(command: string, cwd: string, home: string): Promise<RunResult> {
  await using shell = new RunningProcess('sh', ['-c', command], {
    cwd,
    // Nobody is there to allow an installation, and nothing may be installed.
    env: {
      HOME: home,
      npm_config_offline: 'true',
      npm_config_yes: 'false',
      npm_config_update_notifier: 'false',
    },
  })
  return await shell.finished(20_000)
}

describe('the commands of first_use_tip', () => {
  it('work as they are pasted, from the root of the project and from its backend', async () => {
    await using origin = await startOrigin()
    const model = serveModel(origin, 'a', MiB)
    const extra = serveModel(origin, 'b', MiB)
    const { root, backend, home } = makeProject()
    const file = writeCatalog([model.entry, { ...extra.entry, auto_download: false }], root)
    const directory = path.join(backend, 'my models')
    await using manager = new DownloadManager({ directory })
    await using preloader = new Preloader({
      manager,
      catalog: await Catalog.fromFile(file),
      commands: { projectRoot: root, backendDir: backend, platform: 'linux' },
    })
    const { first_use_tip: tip } = await preloader.modelsStatus()
    const commands = commandsOf(tip)
    expect(commands).toHaveLength(2)
    const [fromRoot = '', fromBackend = ''] = commands
    expect(fromRoot).not.toBe(fromBackend)
    expect(fromRoot).toContain('--models a,b')

    for (const [command, cwd] of [
      [fromRoot, root],
      [fromBackend, backend],
    ] as const) {
      const ended = await paste(command, cwd, home)
      expect([command, ended.code, ended.stderr]).toEqual([
        command,
        0,
        expect.stringContaining('2 of 2 files'),
      ])
      expect(await listTree(path.join(directory, 'llm'))).toEqual(['a.gguf', 'b.gguf'])
      expect(await listTree(root)).not.toContain('models/')
      await rm(directory, { recursive: true })
    }
  })

  it('of serve work from anywhere in the project, and make the models ready', async () => {
    await using origin = await startOrigin()
    const { root, backend, home } = makeProject()
    const file = writeCatalog([serveModel(origin, 'a', MiB).entry], root)
    const directory = path.join(root, 'models')
    const tipOf = async () => {
      await using serving = await startServeProcess(['--catalog', file], { directory, cwd: root })
      return await serving.client.modelsStatus()
    }
    const commands = commandsOf((await tipOf()).first_use_tip)
    expect(commands).toHaveLength(2)
    for (const command of commands) {
      for (const cwd of [root, backend]) {
        expect(await paste(command, cwd, home)).toMatchObject({ code: 0 })
        expect(await tipOf()).toMatchObject({ any_missing: false, models: { a: { ready: true } } })
        await rm(directory, { recursive: true })
      }
    }
  })
})
