/**
 * An app of Electron whose code is in `app.asar`. Electron itself can't be had without a screen and a hundred megabytes, so a
 * folder of that name stands for the archive, and what matters of Electron is imitated: it says what it is, the main thread
 * reads the archive like a folder, and a thread can't be started from inside.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { root, RunningProcess } from '../support/process.js'
import { tempDir } from '../support/temp.js'

const content = ggufContent(6_000_000)
const name = 'model-downloader'
const dependencies = Object.keys(
  // Of our own package.json.
  (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { dependencies: object })
    .dependencies,
)

interface Told {
  log: string[]
  warnings: { code: string; message: string }[]
  verified: boolean
  page: number
}

/** Packs an app, with the workers beside the archive or not, and runs it. */
async function run({ unpacks, electron = '35.0.0' }: { unpacks: boolean; electron?: string }) {
  const resources = path.join(tempDir('electron'), 'resources')
  const modules = path.join(resources, 'app.asar/node_modules')
  const packed = path.join(modules, name, 'dist')
  cpSync(path.join(root, 'dist'), packed, { recursive: true, filter: (file) => !file.endsWith('.map') })
  cpSync(path.join(root, 'package.json'), path.join(modules, name, 'package.json'))
  for (const dependency of dependencies) {
    mkdirSync(path.dirname(path.join(modules, dependency)), { recursive: true })
    symlinkSync(path.join(root, 'node_modules', dependency), path.join(modules, dependency))
  }
  if (unpacks) {
    const beside = path.join(resources, 'app.asar.unpacked/node_modules', name)
    cpSync(packed, path.join(beside, 'dist'), { recursive: true })
    cpSync(path.join(root, 'package.json'), path.join(beside, 'package.json'))
  }
  for (const worker of ['engine-worker.js', 'hash-worker.js'])
    writeFileSync(path.join(packed, worker), `throw new Error("Cannot find module 'app.asar/${worker}'")`)
  const main = path.join(resources, 'app.asar/main.mjs')
  cpSync(path.join(root, 'test/runtimes/programs/electron-main.mjs'), main)
  const imitation = path.join(resources, 'electron.mjs')
  writeFileSync(
    imitation,
    `const facts = { type: 'browser', resourcesPath: ${JSON.stringify(resources)} }
    Object.assign(process, facts)
    Object.defineProperty(process, 'versions', { value: { ...process.versions, electron: '${electron}' } })`,
  )
  await using origin = await startOrigin()
  origin.serve('/model.gguf', { content })
  const plan = { url: origin.url('/model.gguf'), directory: tempDir(), sha256: content.sha256() }
  const app = new RunningProcess(process.execPath, ['--import', imitation, main, JSON.stringify(plan)])
  const { code, stdout, stderr } = await app.finished()
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as Told
}

describe('an app of Electron', () => {
  it('that unpacks the package downloads in its worker, and serves the dashboard', async () => {
    expect(await run({ unpacks: true })).toEqual({ log: [], warnings: [], verified: true, page: 200 })
  })

  it('that does not is told which setting is missing, and downloads in its own thread', async () => {
    const { log, warnings, ...rest } = await run({ unpacks: false })
    expect(rest).toEqual({ verified: true, page: 200 })
    expect(log).toEqual([expect.stringContaining("Cannot find module 'app.asar/engine-worker.js'")])
    expect(warnings).toEqual([
      { code: 'MODEL_DOWNLOADER_PACKED', message: expect.stringContaining('asarUnpack') },
    ])
  })
})
