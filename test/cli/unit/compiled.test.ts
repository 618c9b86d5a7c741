import { hash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { loadCode } from '../../../src/cli/process/compiled.js'
import { posix, skipFor, symlinks } from '../../support/machine.js'
import { tempDir } from '../../support/temp.js'

/** Writes a file of CommonJS, and returns its path. */
function program(build: string | null = 'a'.repeat(64)): string {
  const file = join(tempDir('code'), 'main.cjs')
  const code = [
    '"use strict"; exports.double = (value) => value * 2;',
    'exports.file = __filename; exports.folder = __dirname; exports.platform = require("node:os").platform();',
    'exports.later = () => ownEsm("node:path");',
    ...(build === null ? [] : [`// build ${build}`]),
    '//# sourceMappingURL=main.cjs.map',
  ]
  writeFileSync(file, code.join('\n'))
  return file
}

interface Exports {
  double: (value: number) => number
  file: string
  later: () => Promise<{ sep: string }>
}

/** Loads a program and runs it once, so that it has something to keep. */
function run(file: string, folder: string | null, part = 'get') {
  const loaded = loadCode(file, folder, part)
  const { double } = loaded.exports as Exports
  expect(double(21)).toBe(42)
  return loaded
}

/** The only file of a folder. */
function only(folder: string): string {
  const names = readdirSync(folder)
  expect(names).toHaveLength(1)
  return join(folder, names[0] ?? '')
}

it('runs a file of CommonJS as `require` does', async () => {
  const file = program()
  const { later, ...rest } = run(file, null).exports as Exports
  expect(rest).toMatchObject({ file, folder: join(file, '..'), platform: process.platform })
  expect((await later()).sep).toBe((await import('node:path')).sep)
})

it('keeps what was compiled, and uses it without writing it again', () => {
  const [file, folder] = [program(), join(tempDir('kept'), 'a', 'code')]
  run(file, folder).keep()
  const kept = only(folder)
  const before = statSync(kept, { bigint: true })
  run(file, folder).keep()
  expect(statSync(only(folder), { bigint: true })).toMatchObject({ ino: before.ino, mtimeNs: before.mtimeNs })
  // Each command uses other functions, and other code may have the same length.
  run(file, folder, 'serve').keep()
  run(program('b'.repeat(64)), folder).keep()
  expect(readdirSync(folder)).toHaveLength(3)
})

it('keeps more after a run that had to compile much', () => {
  const [file, folder] = [program(), join(tempDir('kept'), 'code')]
  const many = Array.from(
    { length: 4_000 },
    (_, at) => `sum += ((a, b) => a * b + ${at} / (a - b))(${at}, sum);`,
  )
  writeFileSync(
    file,
    `exports.all = () => { let sum = 0; ${many.join('\n')} return sum }\n${readFileSync(file, 'utf8')}`,
  )
  run(file, folder).keep()
  const before = statSync(only(folder)).size
  const loaded = run(file, folder)
  const { all } = loaded.exports as { all: () => number }
  expect(typeof all()).toBe('number')
  loaded.keep()
  const after = statSync(only(folder))
  expect(after.size).toBeGreaterThan(before + 200_000)
  const again = run(file, folder)
  ;(again.exports as { all: () => number }).all()
  again.keep()
  expect(statSync(only(folder)).ino).toBe(after.ino)
})

it('keeps nothing of a file that does not tell its build, without a folder, or under other flags', () => {
  const folder = join(tempDir('kept'), 'code')
  run(program(null), folder).keep()
  run(program(), null).keep()
  const loaded = run(program(), folder)
  setFlagsFromString('--stack-size=983')
  loaded.keep()
  setFlagsFromString('--stack-size=984')
  expect(() => readdirSync(folder)).toThrow(/ENOENT/)
})

it('works where nothing can be kept', () => {
  const file = program()
  const inTheWay = join(tempDir('kept'), 'file')
  writeFileSync(inTheWay, '')
  run(file, inTheWay).keep()
  run(file, join(inTheWay, 'code')).keep()
  // There are no new folders, and Node's own recursive mkdir tries for ever.
  if (process.platform === 'linux') run(file, '/proc/none/code').keep()
  expect(readFileSync(inTheWay, 'utf8')).toBe('')
})

it('deletes what has been kept for long', () => {
  const folder = join(tempDir('kept'), 'code')
  run(program(), folder).keep()
  const [old, new_] = [join(folder, 'old.bin'), join(folder, 'new.bin')]
  for (const path of [old, new_]) writeFileSync(path, '')
  const now = Date.now() / 1_000
  utimesSync(old, now, now - 31 * 86_400)
  utimesSync(new_, now, now - 29 * 86_400)
  run(program(), folder, 'ls').keep()
  expect(readdirSync(folder)).toHaveLength(3)
  expect(readdirSync(folder)).toContain('new.bin')
})

describe('what was kept is not used, and written anew, if it', () => {
  const spoil: Record<string, (path: string) => void> = {
    'has a byte that is not as it was written': (path) => {
      const data = readFileSync(path)
      data[data.length - 100]! ^= 1
      writeFileSync(path, data)
    },
    'is cut off': (path) => {
      truncateSync(path, statSync(path).size - 1)
    },
    'is empty': (path) => {
      truncateSync(path, 0)
    },
    'is full of zeros': (path) => {
      writeFileSync(path, Buffer.alloc(statSync(path).size))
    },
    'is a folder': (path) => {
      renameSync(path, `${path}.old`)
      mkdirSync(path)
    },
  }
  it.each(Object.entries(spoil))('%s', (_, change) => {
    const [file, folder] = [program(), join(tempDir('kept'), 'code')]
    run(file, folder).keep()
    const kept = only(folder)
    const good = readFileSync(kept)
    change(kept)
    run(file, folder).keep()
    if (!statSync(kept).isFile()) return
    const data = readFileSync(kept)
    expect(data.subarray(0, 32)).toEqual(hash('sha256', data.subarray(32), 'buffer'))
    expect(data.length).toBeGreaterThan(good.length / 2)
  })

  it('can be written by others', (context) => {
    if (!posix.available()) skipFor(context, posix)
    const [file, folder] = [program(), join(tempDir('kept'), 'code')]
    run(file, folder).keep()
    const kept = only(folder)
    expect(statSync(kept).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const mode of [0o620, 0o602]) {
      chmodSync(kept, mode)
      run(file, folder).keep()
      expect(statSync(kept).mode & 0o777).toBe(0o600)
    }
  })

  it('is a link', (context) => {
    if (!symlinks.available()) skipFor(context, symlinks)
    const [file, folder] = [program(), join(tempDir('kept'), 'code')]
    run(file, folder).keep()
    const kept = only(folder)
    const elsewhere = join(tempDir('elsewhere'), 'file')
    renameSync(kept, elsewhere)
    symlinkSync(elsewhere, kept)
    run(file, folder).keep()
    expect(readdirSync(folder)).toHaveLength(1)
    expect(statSync(kept, { bigint: true }).ino).not.toBe(statSync(elsewhere, { bigint: true }).ino)
  })
})
