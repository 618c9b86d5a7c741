/** Where the caches of this machine are, by the environment. Pure. */
import { isAbsolute, join } from 'node:path'

/** Folders in which other programs keep models. They need not be there. */
export interface KnownCaches {
  /** Of the Hugging Face libraries: each holds `models--…` folders. */
  hub: string[]
  /** Of Ollama: each holds `blobs`. */
  ollama: string[]
  /** Of LM Studio: each holds `publisher/model/file`. */
  lmStudio: string[]
  /** Of llama.cpp: each holds files. */
  llamaCpp: string[]
}

/** What {@link knownCaches} goes by. */
export interface Machine {
  env: Readonly<Record<string, string | undefined>>
  /** Home of the user. */
  home: string
  /** As `process.platform`. */
  platform: string
}

/** The cache of the Hugging Face libraries, by the variables that they read, in their order. */
export function hubCache(machine: Machine): string {
  const given = folder(machine, 'HF_HUB_CACHE') ?? folder(machine, 'HUGGINGFACE_HUB_CACHE')
  if (given !== null) return given
  const home = folder(machine, 'HF_HOME') ?? join(cacheHome(machine), 'huggingface')
  return join(home, 'hub')
}

/** All caches that we know of. */
export function knownCaches(machine: Machine): KnownCaches {
  const { home, platform } = machine
  const service = platform === 'linux' ? ['/usr/share/ollama/.ollama/models'] : []
  const lmStudio = [join(home, '.lmstudio', 'models'), join(home, '.cache', 'lm-studio', 'models')]
  return {
    hub: distinct([hubCache(machine), join(home, '.cache', 'huggingface', 'hub')]),
    ollama: distinct([
      folder(machine, 'OLLAMA_MODELS') ?? join(home, '.ollama', 'models'),
      // As the installer sets it up, with a user of its own.
      ...service,
    ]),
    lmStudio,
    llamaCpp: [folder(machine, 'LLAMA_CACHE') ?? llamaCache(machine)],
  }
}

function llamaCache(machine: Machine): string {
  const { env, home, platform } = machine
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'llama.cpp')
  if (platform === 'win32') return join(env['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'), 'llama.cpp')
  return join(cacheHome(machine), 'llama.cpp')
}

function cacheHome(machine: Machine): string {
  return folder(machine, 'XDG_CACHE_HOME') ?? join(machine.home, '.cache')
}

/** A folder that a variable names; a relative one would mean another place in each program, so it doesn't count. */
function folder({ env, home }: Machine, name: string): string | null {
  const text = env[name]?.trim() ?? ''
  const path = text === '~' || /^~[/\\]/.test(text) ? join(home, text.slice(1)) : text
  return isAbsolute(path) ? path : null
}

function distinct(paths: readonly string[]): string[] {
  return [...new Set(paths)]
}
