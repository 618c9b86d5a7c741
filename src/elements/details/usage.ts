/** How a downloaded model is loaded: lines to copy. Pure. */
import type { WireDownload } from '../../client/index.js'

/** A line that loads a model. */
export interface Usage {
  /** The program or library. */
  readonly tool: 'llama.cpp' | 'transformers' | 'sentence-transformers' | 'safetensors' | 'onnxruntime'
  readonly line: string
}

/** A text in quotes that a shell takes as it is. Paths with a drive letter are those of Windows. */
function forShell(path: string): string {
  if (/^[a-z]:|^\\\\/i.test(path)) return `"${path}"`
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}

/** A text as a literal of Python. */
const forPython = (path: string) => JSON.stringify(path)

const endsWith = (name: string, ending: string) => name.toLowerCase().endsWith(ending)

/** The first part of a split GGUF file, which is the one that is loaded. */
const isFirstPart = (name: string) => !/-\d{5}-of-\d{5}\.gguf$/i.test(name) || /-00001-of-/i.test(name)

/** The separator of a path. */
const separatorOf = (path: string) => (path.includes('\\') && !path.includes('/') ? '\\' : '/')

/**
 * The lines that load a completed download.
 *
 * @param path - of the file, or of the folder of a group.
 */
export function usagesOf({ filename, mode, files }: WireDownload, path: string): readonly Usage[] {
  const names = files?.map((file) => file.filename) ?? null
  if (names === null) return ofFile(filename, path, mode)
  const gguf = names.find((name) => endsWith(name, '.gguf') && isFirstPart(name))
  if (gguf !== undefined) {
    const separator = separatorOf(path)
    return ofFile(gguf, path + separator + gguf.replaceAll('/', separator), mode)
  }
  if (!names.some((name) => name === 'config.json' || name.endsWith('/config.json'))) return []
  const isSentence = mode === 'embed' || names.includes('modules.json')
  return isSentence
    ? [{ tool: 'sentence-transformers', line: `SentenceTransformer(${forPython(path)})` }]
    : [{ tool: 'transformers', line: `AutoModelForCausalLM.from_pretrained(${forPython(path)})` }]
}

function ofFile(name: string, path: string, mode: string | null): readonly Usage[] {
  if (endsWith(name, '.gguf')) {
    const flag = mode === 'embed' ? ' --embedding' : mode === 'rerank' ? ' --reranking' : ''
    return [{ tool: 'llama.cpp', line: `llama-server -m ${forShell(path)}${flag}` }]
  }
  if (endsWith(name, '.safetensors'))
    return [{ tool: 'safetensors', line: `safetensors.torch.load_file(${forPython(path)})` }]
  if (endsWith(name, '.onnx'))
    return [{ tool: 'onnxruntime', line: `onnxruntime.InferenceSession(${forPython(path)})` }]
  return []
}
