/**
 * Finds the GGUF files of a repository that have a given quantisation, including all parts of a split model.
 * Pure.
 */
import { DownloadError } from '../errors.js'

/** The number of a part of a split model, and of all its parts. */
export const splitPart = /-(\d{5})-of-(\d{5})(?=\.gguf$)/i

/** llama.cpp's names for quantisations, and the `UD-` prefix that publishers add. */
const quantName =
  /(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?))(?=[-._/]|$)/gi

/** Longer paths are not searched for a quantisation, in characters. */
const maxPathLength = 1_024

/**
 * The quantisation named in a path, in upper case; null when there is none. The file name takes precedence
 * over the folder.
 */
export function quantOf(path: string): string | null {
  // Paths of this length are of no use anyway, and the search below takes quadratic time.
  if (path.length > maxPathLength) return null
  const stem = path.replace(splitPart, '').replace(/\.gguf$/i, '')
  const found = [...stem.matchAll(quantName)].at(-1)?.[1]
  return found?.toUpperCase() ?? null
}

/** Whether a path is that of a GGUF file. */
export function isGguf(path: string): boolean {
  return /\.gguf$/i.test(path)
}

/** Whether a path is the GGUF of a model, not a multimodal projector or an importance matrix. */
function isModel(path: string): boolean {
  const file = path.slice(path.lastIndexOf('/') + 1)
  return isGguf(file) && !/mmproj|imatrix/i.test(file)
}

/**
 * The file with a quantisation, or all of its parts in order.
 *
 * @param files - the repository's files, in any order.
 * @param quant - name of the quantisation, in upper or lower case.
 * @throws DownloadError `NOT_FOUND` when there is none or a part is missing; `INVALID_URL` when several
 * models match, so that the caller must give a path instead.
 */
export function selectQuant<F extends { path: string }>(files: readonly F[], quant: string): F[] {
  const models = files.filter(({ path }) => isModel(path))
  const wanted = quant.toUpperCase()
  const groups = new Map<string, F[]>()
  for (const file of models) {
    if (quantOf(file.path) !== wanted) continue
    // Parts of different sets must not be mixed, so the number of parts is included in the key.
    const key = file.path.replace(splitPart, '-of-$2')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [file])
    else group.push(file)
  }
  const [group, ...others] = groups.values()
  if (group === undefined) {
    const known = [...new Set(models.map(({ path }) => quantOf(path)).filter((name) => name !== null))].sort()
    const have = known.length === 0 ? 'no GGUF file with a quantisation in its name' : known.join(', ')
    throw new DownloadError('NOT_FOUND', `The repository has no ${quant} GGUF file; it has ${have}.`)
  }
  if (others.length > 0) {
    const paths = [group, ...others].map((parts) => parts[0]?.path ?? '')
    const shown = paths.slice(0, 5).join(', ') + (paths.length > 5 ? ', …' : '')
    throw new DownloadError(
      'INVALID_URL',
      `${quant} matches several files (${shown}). Give the path of the one that you need.`,
    )
  }
  return complete(group)
}

/** The parts in order. Throws `NOT_FOUND` when one is missing. */
function complete<F extends { path: string }>(group: readonly F[]): F[] {
  const total = Number(splitPart.exec(group[0]?.path ?? '')?.[2] ?? 1)
  const parts = [...group].sort((a, b) => (a.path < b.path ? -1 : 1))
  if (!splitPart.test(parts[0]?.path ?? '')) return parts
  const present = new Set(parts.map(({ path }) => Number(splitPart.exec(path)?.[1])))
  for (let part = 1; part <= total; part += 1) {
    if (!present.has(part)) {
      throw new DownloadError(
        'NOT_FOUND',
        `Part ${String(part)} of ${String(total)} is missing from the repository.`,
      )
    }
  }
  return parts.filter(({ path }) => Number(splitPart.exec(path)?.[1]) >= 1)
}
