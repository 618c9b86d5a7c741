/** The sources that come with this package. */
import { gitHub } from './github.js'
import { huggingFace } from './huggingface.js'
import { modelScope } from './modelscope.js'
import { ollama } from './ollama.js'
import { SourceRegistry, type Source } from './source.js'

/** A registry of the host's sources and those of this package. */
export function sourceRegistry(own: readonly Source[] = []): SourceRegistry {
  return new SourceRegistry(own, [huggingFace(), modelScope(), gitHub(), ollama()])
}
