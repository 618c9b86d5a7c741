/** `cache ls`, `cache rm` and `cache prune`. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { listTree, tempDir } from '../support/temp.js'
import { jsonLines, run } from './run.js'

const commits = { old: 'a'.repeat(40), now: 'b'.repeat(40) }

function put(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** A cache below HF_HOME with one model of two revisions, of which one has no ref, and a dataset. */
function makeCache(): { cwd: string; hub: string; env: Record<string, string> } {
  const cwd = tempDir('cache')
  const hub = path.join(cwd, 'hf', 'hub')
  const model = path.join(hub, 'models--owner--name')
  put(path.join(model, 'refs', 'main'), commits.now)
  const files = { [commits.old]: ['1', '2'], [commits.now]: ['1', '3'] }
  for (const digit of ['1', '2', '3', '4'])
    put(path.join(model, 'blobs', digit.repeat(64)), digit.repeat(1000))
  put(path.join(model, 'blobs', `${'5'.repeat(64)}.incomplete`), 'half')
  for (const [commit, digits] of Object.entries(files)) {
    const folder = path.join(model, 'snapshots', commit)
    mkdirSync(folder, { recursive: true })
    for (const digit of digits)
      symlinkSync(`../../blobs/${digit.repeat(64)}`, path.join(folder, `${digit}.bin`))
  }
  put(path.join(hub, 'datasets--owner--data', 'refs', 'main'), commits.old)
  put(path.join(hub, 'datasets--owner--data', 'snapshots', commits.old, 'copy.txt'), 'copy')
  return { cwd, hub, env: { HF_HOME: path.join(cwd, 'hf'), HF_HUB_CACHE: '', HUGGINGFACE_HUB_CACHE: '' } }
}

const columns = (text: string) =>
  text
    .split('\n')
    .map((line) => line.replaceAll(/ {2,}/g, ' | ').replace(/\d{4}-\d\d-\d\d \d\d:\d\d/, 'TIME'))

describe('cache', () => {
  it('lists repositories and revisions', async () => {
    const { cwd, env } = makeCache()
    const listed = await run(['cache', 'ls'], { cwd, env })
    expect(listed.code).toBe(0)
    expect(columns(listed.stdout)).toEqual([
      'REPOSITORY | TYPE | SIZE | REVISIONS | REFS | MODIFIED',
      'owner/data | datasets | 4 B | 1 | main',
      'owner/name | models | 4.0 kB + 4 B partial | 2 | main | TIME',
      '',
    ])
    const revisions = await run(['cache', 'ls', '--revisions'], { cwd, env })
    expect(columns(revisions.stdout)).toEqual(
      expect.arrayContaining([
        `owner/name | ${commits.old} | 2.0 kB | 2 | TIME`,
        `owner/name | ${commits.now} | 2.0 kB | 2 | main | TIME`,
      ]),
    )
    const json = jsonLines((await run(['cache', 'ls', '--json'], { cwd, env })).stdout)
    expect(json[1]).toMatchObject({
      type: 'repository',
      kind: 'models',
      name: 'owner/name',
      size: 4000,
      orphaned: 1000,
      unfinished: 4,
      refs: { main: commits.now },
      revisions: [
        { commit: commits.old, refs: [], size: 2000 },
        { commit: commits.now, refs: ['main'] },
      ],
    })
    const empty = await run(['cache', 'ls', '-d', 'nowhere'], { cwd, env })
    expect(empty).toMatchObject({ code: 0, stdout: '' })
  })

  it('prunes what nothing refers to, and first says so', async () => {
    const { cwd, hub, env } = makeCache()
    const before = await listTree(hub)
    const dry = await run(['cache', 'prune', '--dry-run'], { cwd, env })
    expect(dry).toMatchObject({ code: 0, stdout: `would delete  owner/name@${'a'.repeat(12)}  2.0 kB\n` })
    expect(dry.stderr).toContain('2.0 kB would be freed')
    expect(dry.stderr).toContain('4 B of unfinished downloads kept')
    expect(await listTree(hub)).toEqual(before)
    const pruned = await run(['cache', 'prune', '--json'], { cwd, env })
    expect(jsonLines(pruned.stdout)).toMatchObject([
      { type: 'removed', name: 'owner/name', commits: [commits.old], isWhole: false },
      { type: 'summary', repositories: 1, freedBytes: 2000, dryRun: false },
    ])
    const after = await listTree(hub)
    expect(before.filter((entry) => !after.includes(entry))).toEqual([
      `models--owner--name/blobs/${'2'.repeat(64)}`,
      `models--owner--name/blobs/${'4'.repeat(64)}`,
      `models--owner--name/snapshots/${commits.old}/`,
      `models--owner--name/snapshots/${commits.old}/1.bin`,
      `models--owner--name/snapshots/${commits.old}/2.bin`,
    ])
    expect(await run(['cache', 'prune'], { cwd, env })).toMatchObject({ code: 0, stdout: '' })
    const rest = await run(['cache', 'prune', '--incomplete'], { cwd, env })
    expect(rest).toMatchObject({ code: 0, stderr: '4 B freed\n' })
  })

  it('removes revisions and repositories', async () => {
    const { cwd, hub, env } = makeCache()
    expect((await run(['cache', 'rm', 'owner/none'], { cwd, env })).stderr).toContain(
      'it is not in the cache',
    )
    expect((await run(['cache', 'rm', '../../etc'], { cwd, env })).code).toBe(2)
    const one = await run(['cache', 'rm', 'hf:owner/name@main'], { cwd, env })
    expect(one).toMatchObject({ code: 0, stderr: '1.0 kB freed\n' })
    const two = await run(['cache', 'rm', 'owner/name', 'datasets/owner/data'], { cwd, env })
    expect(two).toMatchObject({ code: 0, stderr: '3.0 kB freed\n' })
    expect(await listTree(hub)).toEqual([])
  })
})
