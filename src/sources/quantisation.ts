/** Which GGUF files of a repository are which quantisation, and which belong together. Pure. */
import { DownloadError } from '../errors.js'

const splitPart = /-(\d{5})-of-(\d{5})(?=\.gguf$)/i

/** The names that llama.cpp gives, and what publishers put before them. */
const quantName =
  /(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?))(?=[-._/]|$)/gi

/** The quantisation that a path names, in upper case; null when it names none. The file's own name outranks its folder. */
export function quantOf(path: string): string | null {
  const stem = path.replace(splitPart, '').replace(/\.gguf$/i, '')
  const found = [...stem.matchAll(quantName)].at(-1)?.[1]
  return found?.toUpperCase() ?? null
}

/** Whether it is a model's GGUF, not a projector or a matrix that comes along with one. */
function isModel(path: string): boolean {
  const file = path.slice(path.lastIndexOf('/') + 1)
  return /\.gguf$/i.test(file) && !/mmproj|imatrix/i.test(file)
}

/**
 * The file of a quantisation, or all parts of it in order.
 *
 * @param files - of the repository, in any order.
 * @param quant - as people write it; case doesn't matter.
 * @throws DownloadError `NOT_FOUND` when there is none, or when a part is missing; `INVALID_URL` when there are several,
 * so that a path must say which.
 */
export function selectQuant<F extends { path: string }>(files: readonly F[], quant: string): F[] {
  const models = files.filter(({ path }) => isModel(path))
  const wanted = quant.toUpperCase()
  const groups = new Map<string, F[]>()
  for (const file of models) {
    if (quantOf(file.path) !== wanted) continue
    // Parts of different sets must not be mixed: how many there are is part of the set's name.
    const key = file.path.replace(splitPart, '-of-$2')
    groups.set(key, [...(groups.get(key) ?? []), file])
  }
  const [group, ...others] = groups.values()
  if (group === undefined) {
    const known = [...new Set(models.map(({ path }) => quantOf(path)).filter((name) => name !== null))].sort()
    const have = known.length === 0 ? 'no GGUF that names one' : known.join(', ')
    throw new DownloadError('NOT_FOUND', `The repository has no GGUF of ${quant}; it has ${have}.`)
  }
  if (others.length > 0) {
    const paths = [group, ...others].map((parts) => parts[0]?.path ?? '')
    throw new DownloadError(
      'INVALID_URL',
      `${quant} means several files (${paths.slice(0, 5).join(', ')}${paths.length > 5 ? ', …' : ''}): name the one.`,
    )
  }
  return complete(group)
}

/** The parts in order, when all are there. */
function complete<F extends { path: string }>(group: readonly F[]): F[] {
  const total = Number(splitPart.exec(group[0]?.path ?? '')?.[2] ?? 1)
  const parts = [...group].sort((a, b) => (a.path < b.path ? -1 : 1))
  if (!splitPart.test(parts[0]?.path ?? '')) return parts
  const there = new Set(parts.map(({ path }) => Number(splitPart.exec(path)?.[1])))
  for (let part = 1; part <= total; part += 1) {
    if (!there.has(part)) {
      throw new DownloadError(
        'NOT_FOUND',
        `Part ${String(part)} of ${String(total)} is missing in the repository.`,
      )
    }
  }
  return parts.filter(({ path }) => Number(splitPart.exec(path)?.[1]) >= 1)
}
