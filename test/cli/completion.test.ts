/** Completion in real shells: what is typed before Tab, and what the command gets after Enter. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { type Need, describeWith } from '../support/machine.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const cli = path.resolve(import.meta.dirname, '../../dist/cli.js')

const has = (shell: string): Need => ({
  missing: `no ${shell} or no script here: apt-get install ${shell} bsdutils`,
  available: () => [shell, 'script'].every((one) => spawnSync(one, ['--version']).status === 0),
})

/** A folder with a command that completes as ours does, and otherwise says what it was given. */
function home(): { cwd: string; env: NodeJS.ProcessEnv } {
  const cwd = tempDir('shell')
  mkdirSync(path.join(cwd, 'bin'))
  mkdirSync(path.join(cwd, 'folder-of-mine'))
  writeFileSync(path.join(cwd, 'only.json'), '')
  const command = path.join(cwd, 'bin', 'model-downloader')
  const real = `"${process.execPath}" "${cli}" "$@"`
  writeFileSync(
    command,
    `#!/bin/sh\ncase "$1" in complete|completion) exec ${real};; esac\nprintf 'got'; printf ' <%s>' "$@"; echo\n`,
  )
  chmodSync(command, 0o755)
  const env = {
    ...process.env,
    PATH: `${path.join(cwd, 'bin')}:${process.env['PATH']}`,
    LC_ALL: 'C',
    TERM: 'xterm',
  }
  return { cwd, env: { ...env, HOME: cwd, PS1: '', PROMPT: '', ZDOTDIR: cwd } }
}

/** A shell on a terminal. */
class Shell {
  readonly cwd: string
  readonly #child: ChildProcess
  #output = ''

  constructor(command: string) {
    const { cwd, env } = home()
    this.cwd = cwd
    this.#child = spawn('script', ['-qec', `stty cols 200; ${command}`, '/dev/null'], {
      cwd,
      env,
      stdio: 'pipe',
    })
    this.#child.stdout?.on('data', (data: Buffer) => {
      this.#output = (this.#output + data.toString()).slice(-100_000)
    })
    this.#child.stdin?.on('error', () => undefined)
  }

  /** Types, and waits until the shell or the command prints something. */
  async type(text: string, awaited: string | RegExp): Promise<void> {
    this.#output = ''
    this.#child.stdin?.write(text)
    const isThere = () =>
      typeof awaited === 'string' ? this.#output.includes(awaited) : awaited.test(this.#output)
    await waitFor(isThere, { timeoutMs: 10_000, what: `${String(awaited)} after ${JSON.stringify(text)}` })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    return Promise.resolve()
  }
}

/** What is typed, with Tab where it stands, and the arguments that the command gets. */
const cases = [
  ['pre\t', ['preload']],
  ['get --keep\t', ['get', '--keep-paths']],
  ['serve --layout hf\t', ['serve', '--layout', 'hf-cache']],
  ['preload on\t', ['preload', 'only.json']],
  ['get -d folder-\t', ['get', '-d', 'folder-of-mine/']],
] as const

async function complete(shell: Shell): Promise<void> {
  for (const [typed, args] of cases) {
    // A shell reads Enter when it has completed the word.
    const words = args.map((word) => `<${word}>`).join(' ')
    await shell.type(`model-downloader ${typed}\n`, `got ${words}`)
  }
}

describeWith(has('bash'), 'bash', () => {
  it('completes on Tab without any other package, and runs nothing that was typed', async () => {
    await using shell = new Shell('bash --norc -i')
    await shell.type(
      'source <(model-downloader completion bash); source <(model-downloader completion bash); echo re""ady\n',
      'ready',
    )
    await complete(shell)
    await shell.type('model-downloader serve --layout=hf\t\n', 'got <serve> <--layout=hf-cache>')
    await shell.type('model-downloader get $(touch ran) --keep\t', '-paths')
    await shell.type('\u0003test -e ran || echo not-""run\n', 'not-run')
  })
})

describeWith(has('zsh'), 'zsh', () => {
  it('completes on Tab', () => {
    const { cwd, env } = home()
    // An interactive zsh stops whoever started it, so one without a terminal drives it on a terminal of its own. It removes
    // the slash that it has added to the last word.
    const steps = cases.map(([typed, args]) => ({
      line: `model-downloader ${typed.replace('\t', '\\t')}\\n`,
      got: `got ${args.map((word) => `<${word.replace(/\/$/, '')}>`).join(' ')}`,
    }))
    const driver = [
      'zmodload zsh/zpty; zpty -b z zsh -f -i',
      'ask() { zpty -w -n z "$1"; zpty -r -m z out "*${(b)2}*" && print -r -- "$2" }',
      `ask $'stty cols 200; autoload -U compinit; compinit -D; source <(model-downloader completion zsh); echo re""ady\\n' ready`,
      ...steps.map(({ line, got }) => `ask $'${line}' '${got}'`),
      'zpty -d z',
    ]
    const { stdout } = spawnSync('zsh', ['-f', '-c', driver.join('\n')], {
      ...{ cwd, env, encoding: 'utf8', input: '', timeout: 30_000, killSignal: 'SIGKILL' },
    })
    expect(stdout.trim().split('\n')).toEqual(['ready', ...steps.map(({ got }) => got)])
  })
})

describeWith(has('fish'), 'fish', () => {
  it('completes', () => {
    const { cwd, env } = home()
    const words = (typed: string) => {
      const { stdout } = spawnSync(
        'fish',
        ['-c', `model-downloader completion fish | source; complete -C '${typed}'`],
        {
          ...{ cwd, env, encoding: 'utf8', input: '', timeout: 20_000 },
        },
      )
      return stdout
        .trim()
        .split('\n')
        .map((line) => line.split('\t')[0])
    }
    for (const [typed, args] of cases)
      expect(words(`model-downloader ${typed.trimEnd()}`)).toContain(args.at(-1))
  })
})
