/** Where `--keep-paths` stores a file: in the folders that it has at its source. Pure. */
import { checkFilename, cleanFilename } from '../../disk/names.js'
import { parseGitHubRef } from '../../sources/github.js'
import { isHubScheme, parseHubLink, parseHubRef } from '../../sources/huggingface-ref.js'
import type { Identified } from '../../sources/identify.js'
import { parseModelScopeRef } from '../../sources/modelscope.js'
import { parseOllamaRef } from '../../sources/ollama.js'

/** The folders of a file or of a group, which may be none. */
export interface KeptPath {
  /** The repository, such as `owner/repo`, or the folders of a URL. */
  folders: readonly string[]
  /** Folders of the file inside the repository; null if the text does not tell which files it stands for. */
  inside: readonly string[] | null
}

/**
 * Returns the folders that a URL or a ref has at its source. The host of a URL is not one of them.
 *
 * @param restrictNames - whether folders whose names can't be used get cleaned ones, instead of being refused.
 * @throws DownloadError `UNSAFE_FILENAME`; `INVALID_URL` for a malformed ref.
 */
export function keptPath(text: string, identified: Identified, restrictNames: boolean): KeptPath {
  const safe = (segment: string) => (restrictNames ? cleanFilename(segment) : null) ?? checkFilename(segment)
  const { folders, inside } =
    identified.kind === 'url' ? ofUrl(identified.url) : ofRef(text, identified.source.name)
  return { folders: folders.map(safe), inside: inside === null ? null : inside.map(safe) }
}

function ofUrl({ pathname }: URL): KeptPath {
  const folders = pathname
    .split('/')
    .slice(0, -1)
    .filter((segment) => segment !== '')
  return { folders: folders.map(decoded), inside: [] }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

function ofRef(text: string, source: string): KeptPath {
  switch (source) {
    case 'huggingface': {
      const ref = isHubScheme(text) ? parseHubRef(text) : parseHubLink(text)
      if (ref === null) break
      const type = ref.type === 'models' ? [] : [ref.type]
      const inside = ref.what.kind === 'file' ? foldersOf(ref.what.path) : null
      return { folders: [...type, ...ref.repo.split('/')], inside }
    }
    case 'modelscope': {
      const { owner, repo, path } = parseModelScopeRef(text)
      return { folders: [owner, repo], inside: path === null || path.endsWith('/') ? null : foldersOf(path) }
    }
    case 'github': {
      const { owner, repo, asset } = parseGitHubRef(text)
      return { folders: [owner, repo], inside: asset === null ? null : [] }
    }
    case 'ollama': {
      const { repository, layers } = parseOllamaRef(text)
      return { folders: repository.split('/'), inside: layers === 'model' ? [] : null }
    }
  }
  return { folders: [], inside: [] }
}

function foldersOf(path: string): string[] {
  return path.split('/').slice(0, -1)
}
