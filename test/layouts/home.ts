/** A home of one's own, with whatever caches a test puts there. */
import { tempDir } from '../support/temp.js'

const names = [
  'HOME',
  'USERPROFILE',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'XDG_CACHE_HOME',
] as const
const others = ['OLLAMA_MODELS', 'LLAMA_CACHE'] as const

/** Runs a task while this process has another home, and no variable that names a cache. */
export async function withHome<T>(task: (home: string) => Promise<T>): Promise<T> {
  const before = [...names, ...others].map((name) => [name, process.env[name]] as const)
  const home = tempDir('home')
  for (const [name] of before) process.env[name] = ''
  process.env['HOME'] = home
  process.env['USERPROFILE'] = home
  try {
    return await task(home)
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = value
    }
  }
}
