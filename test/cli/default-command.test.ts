import { describe, expect, it } from 'vitest'
import { withDefaultCommand, withoutEatenSources } from '../../src/cli/default-command.js'

const commands = ['get', 'preload', 'serve', 'help']

describe('a command line without a command', () => {
  it.each([
    ['https://host/a.gguf'],
    ['HF:owner/repo', '-d', 'models'],
    ['-d', 'models', 'https://host/a.gguf'],
    ['--locale', 'zh-CN', 'hf://owner/repo'],
    ['--json', 'ms:owner/repo', 'get'],
    ['a.gguf=https://host/1'],
    ['-i', 'list.txt'],
    ['-d', 'models', '--input-file=-'],
    ['owner/repo'],
    ['owner/repo:Q4_K_M', '-d', 'models'],
    ['host.example/a.gguf'],
  ])('gets what %s names', (...args) => {
    expect(withDefaultCommand(args, commands)).toEqual(['get', ...args])
  })

  it.each([
    [],
    ['--help'],
    ['get', 'https://host/a.gguf'],
    ['preload', 'https://host/models.json'],
    ['--locale', 'zh-CN', 'get', 'hf:owner/repo'],
    ['serve', '--proxy', 'http://host:1'],
    ['--proxy=http://host:1', 'serve'],
    ['fetch', '-i', 'list.txt'],
    ['serv'],
    ['fetch', 'https://host/a.gguf'],
    ['C:\\models\\a.gguf'],
    ['help', 'get'],
  ])('is left as it is where it names no URL, or a command: %s', (...args) => {
    expect(withDefaultCommand(args, commands)).toBe(args)
  })
})

describe('an option whose value may be left out', () => {
  it('does not take the URL that follows it', () => {
    expect(withoutEatenSources(['get', '--netrc', 'https://host/a', '--netrc', 'file', '--netrc'])).toEqual([
      ...['get', '--netrc=', 'https://host/a', '--netrc', 'file', '--netrc'],
    ])
  })
})
