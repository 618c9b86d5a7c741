/** docs/cli.md and docs/windows.md say what the command does: their options, defaults and commands are compared with it. */
import { describe, expect, it } from 'vitest'
import { messagesOf } from '../../src/catalog/messages.js'
import { firstUseTip } from '../../src/catalog/tip.js'
import { withSubcommands } from '../../src/cli/localize.js'
import { createProgram } from '../../src/cli/program.js'
import { blocksOf, read } from '../support/documents.js'

const nothing = () => Promise.resolve()
const program = createProgram('0.0.0', { get: nothing, preload: nothing, serve: nothing, files: nothing })
const sections = new Map(
  read('docs/cli.md')
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')), text]),
)

describe('docs/cli.md', () => {
  it('has a chapter for every command', () => {
    expect([...sections.keys()]).toEqual(program.commands.map((command) => command.name()))
  })

  it.each(program.commands.map((command) => [command.name(), command] as const))(
    'lists every option of %s',
    (name, command) => {
      const text = sections.get(name) ?? ''
      const listed = [...text.matchAll(/^\| (`-.*?) +\|/gm)].flatMap(([, cell = '']) =>
        [...cell.matchAll(/`[^`]*?(--[a-z0-9-]+)/g)].map(([, option]) => option),
      )
      const options = withSubcommands(command).flatMap((each) => each.options.map(({ long }) => long))
      // Two of every command stand with those of the first.
      const own = listed.filter((option) => option !== '--version' && option !== '--help')
      expect(new Set(own)).toEqual(new Set(options))
    },
  )

  it('tells the defaults of serve', () => {
    const defaults = program.commands.find((command) => command.name() === 'serve')?.opts()
    expect(defaults).toMatchObject({ port: 8050, host: 'localhost', directory: 'models' })
    const text = sections.get('serve') ?? ''
    for (const [option, value] of [
      ['--port', '8050'],
      ['--host', '`localhost`'],
      ['--directory', '`models`'],
    ])
      expect(text).toMatch(new RegExp(`${option}.*Default: ${value}\\.`))
  })
})

describe.each([
  ['docs/windows.md', 'en-US', 'Missing: '],
  ['docs/windows.zh-CN.md', 'zh-CN', '缺少：'],
] as const)('%s', (document, locale, start) => {
  it('shows the tip as it is', () => {
    const shown = blocksOf(read(document)).find(({ code }) => code.startsWith(start))?.code
    const backend = String.raw`C:\srv\app\backend`
    const tip = firstUseTip(
      {
        missing: [
          { key: 'llm', name: 'Qwen 3' },
          { key: 'bge-m3', name: 'bge-m3' },
        ],
        keys: ['llm', 'bge-m3'],
        beingFetched: false,
        directory: String.raw`${backend}\my models`,
        catalogFile: String.raw`${backend}\models.json`,
        projectRoot: { folder: String.raw`C:\srv\app`, relative: true },
        backendDir: { folder: backend, relative: true },
        platform: 'win32',
      },
      messagesOf(locale),
    )
    expect(shown).toBe(`${tip}\n`)
  })
})
