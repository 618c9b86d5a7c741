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
  /** ModelScope: each contains `owner/name/path`. Default: none. */
  modelScope?: string[]
  /** llama.cpp: each contains files. */
  llamaCpp: string[]
}

/** What {@link knownCaches} depends on. */
export interface Machine {
  env: Readonly<Record<string, string | undefined>>
  /** Home folder of the user; null if there is none. */
  home: string | null
  /** Same as `process.platform`. */
  platform: string
}

/**
 * Returns the cache of the Hugging Face libraries, by the variables that they read, in the same order; null if none
 * names it and there is no home folder.
 */
export function hubCache(machine: Machine): string | null {
  const given = folder(machine, 'HF_HUB_CACHE') ?? folder(machine, 'HUGGINGFACE_HUB_CACHE')
  return given ?? below(folder(machine, 'HF_HOME') ?? below(cacheHome(machine), 'huggingface'), 'hub')
}

/** Returns all known caches. */
export function knownCaches(machine: Machine): KnownCaches {
  const { home, platform } = machine
  const service = platform === 'linux' ? ['/usr/share/ollama/.ollama/models'] : []
  return {
    hub: distinct([hubCache(machine), below(home, '.cache', 'huggingface', 'hub')]),
    ollama: distinct([
      folder(machine, 'OLLAMA_MODELS') ?? below(home, '.ollama', 'models'),
      // The installer on Linux sets Ollama up as a service with its own user.
      ...service,
    ]),
    lmStudio: distinct([below(home, '.lmstudio', 'models'), below(home, '.cache', 'lm-studio', 'models')]),
    modelScope: modelScopeRoots(machine),
    llamaCpp: distinct([folder(machine, 'LLAMA_CACHE') ?? programCache(machine, 'llama.cpp')]),
  }
}

/**
 * ModelScope keeps models below `hub` in its cache folder, or directly in the folder that `MODELSCOPE_CACHE` names; newer
 * versions put them into `models` there.
 */
function modelScopeRoots(machine: Machine): string[] {
  const given = folder(machine, 'MODELSCOPE_CACHE')
  const own = below(machine.home, '.cache', 'modelscope', 'hub')
  return distinct([given, below(given, 'hub'), own].flatMap((base) => [below(base, 'models'), base]))
}

/**
 * Returns the folder in which a program keeps what it can do without, as the platform wants it; null if there is no home
 * folder.
 */
export function programCache(machine: Machine, name: string): string | null {
  const { env, home, platform } = machine
  if (platform === 'darwin') return below(home, 'Library', 'Caches', name)
  if (platform === 'win32') return below(env['LOCALAPPDATA'] ?? below(home, 'AppData', 'Local'), name)
  return below(cacheHome(machine), name)
}

function cacheHome(machine: Machine): string | null {
  return folder(machine, 'XDG_CACHE_HOME') ?? below(machine.home, '.cache')
}

function below(folder: string | null, ...names: string[]): string | null {
  return folder === null ? null : join(folder, ...names)
}

/**
 * Returns the folder that a variable names. A relative path is ignored, because it would mean a different
 * folder in each program.
 */
function folder({ env, home }: Machine, name: string): string | null {
  const text = env[name]?.trim() ?? ''
  const inHome = text === '~' || /^~[/\\]/.test(text)
  if (inHome && home === null) return null
  const path = inHome ? join(home ?? '', text.slice(1)) : text
  return isAbsolute(path) ? path : null
}

function distinct(paths: readonly (string | null)[]): string[] {
  return [...new Set(paths.filter((path) => path !== null))]
}
