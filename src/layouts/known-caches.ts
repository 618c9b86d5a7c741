/** Finds the caches of this machine by its environment. Pure. */
import { isAbsolute, join } from 'node:path'

/** Folders in which other programs keep models. They may not exist. */
export interface KnownCaches {
  /** Hugging Face libraries: each contains `models--…` folders. */
  hub: string[]
  /** Ollama: each contains `blobs`. */
  ollama: string[]
  /** LM Studio: each contains `publisher/model/file`. */
  lmStudio: string[]
  /** llama.cpp: each contains files. */
  llamaCpp: string[]
}

/** What {@link knownCaches} depends on. */
export interface Machine {
  env: Readonly<Record<string, string | undefined>>
  /** Home folder of the user. */
  home: string
  /** Same as `process.platform`. */
  platform: string
}

/** Returns the cache of the Hugging Face libraries, by the variables that they read, in the same order. */
export function hubCache(machine: Machine): string {
  const given = folder(machine, 'HF_HUB_CACHE') ?? folder(machine, 'HUGGINGFACE_HUB_CACHE')
  if (given !== null) return given
  const home = folder(machine, 'HF_HOME') ?? join(cacheHome(machine), 'huggingface')
  return join(home, 'hub')
}

/** Returns all known caches. */
export function knownCaches(machine: Machine): KnownCaches {
  const { home, platform } = machine
  const service = platform === 'linux' ? ['/usr/share/ollama/.ollama/models'] : []
  const lmStudio = [join(home, '.lmstudio', 'models'), join(home, '.cache', 'lm-studio', 'models')]
  return {
    hub: distinct([hubCache(machine), join(home, '.cache', 'huggingface', 'hub')]),
    ollama: distinct([
      folder(machine, 'OLLAMA_MODELS') ?? join(home, '.ollama', 'models'),
      // The installer on Linux sets Ollama up as a service with its own user.
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

/**
 * Returns the folder that a variable names. A relative path is ignored, because it would mean a different
 * folder in each program.
 */
function folder({ env, home }: Machine, name: string): string | null {
  const text = env[name]?.trim() ?? ''
  const path = text === '~' || /^~[/\\]/.test(text) ? join(home, text.slice(1)) : text
  return isAbsolute(path) ? path : null
}

function distinct(paths: readonly string[]): string[] {
  return [...new Set(paths)]
}
