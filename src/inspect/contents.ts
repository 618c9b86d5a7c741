/** What the files of a repository are: which of them form a model, and in which quantisations. Pure. */
import { isGguf, quantOf, splitPart } from '../sources/quantisation.js'

/** A file of a ref. */
export interface ListedFile {
  /** Path in the repository, with slashes. */
  filename: string
  /** In bytes; null if unknown. */
  size: number | null
}

/** Files that form a model. */
export interface ModelFiles<F extends ListedFile> {
  format: 'gguf' | 'safetensors'
  /** In order; at least one. */
  files: readonly [F, ...F[]]
  /** How many files the model should have. */
  expected: number
  /** The quantisation that the name states, in upper case; null if it states none. */
  quantisation: string | null
  /** In bytes; null if the size of any file is unknown. */
  size: number | null
  /** What is left of the name without quantisation and number: variants of one model have it in common. */
  family: string
}

/** A quantisation, and the size of everything that has it. */
export interface Quantisation {
  /** In upper case, such as `Q4_K_M`. */
  name: string
  /** Number of files. */
  files: number
  /** In bytes; null if unknown. */
  size: number | null
}

const shard = /-(\d{5})-of-(\d{5})(?=\.safetensors$)/i

const isSafetensors = (path: string) => /\.safetensors$/i.test(path)

/** Whether a GGUF file only belongs to a model: a projector of a multimodal one, or an importance matrix. */
const isAuxiliary = (path: string) => /mmproj|imatrix/i.test(path.slice(path.lastIndexOf('/') + 1))

/** Finds the models among files: those of GGUF and safetensors, with all their parts. */
export function modelsIn<F extends ListedFile>(files: readonly F[]): ModelFiles<F>[] {
  const groups = new Map<string, [F, ...F[]]>()
  for (const file of files) {
    const { filename } = file
    if (!isGguf(filename) && !isSafetensors(filename)) continue
    // Parts of different sets must not be mixed, so the number of parts is a part of the key.
    const key = filename.replace(isGguf(filename) ? splitPart : shard, '-of-$2')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [file])
    else group.push(file)
  }
  return [...groups.values()].map(modelOf)
}

function modelOf<F extends ListedFile>(files: [F, ...F[]]): ModelFiles<F> {
  files.sort((a, b) => (a.filename < b.filename ? -1 : 1))
  const { filename } = files[0]
  const format = isGguf(filename) ? 'gguf' : 'safetensors'
  const part = format === 'gguf' ? splitPart : shard
  const quantisation = format === 'gguf' ? quantOf(filename) : null
  const name = filename.slice(filename.lastIndexOf('/') + 1).replace(part, '')
  return {
    format,
    files,
    expected: Number(part.exec(filename)?.[2] ?? 1),
    quantisation,
    size: sizeOf(files),
    family:
      format === 'gguf' ? name.toUpperCase().replace(quantisation ?? '', '') : filename.replace(part, ''),
  }
}

function sizeOf(files: readonly ListedFile[]): number | null {
  return files.reduce<number | null>(
    (sum, { size }) => (sum === null || size === null ? null : sum + size),
    0,
  )
}

/** The quantisations of GGUF models, the smallest first. */
export function quantisationsOf(models: readonly ModelFiles<ListedFile>[]): Quantisation[] {
  const byName = new Map<string, Quantisation>()
  for (const { quantisation: name, files, size } of models) {
    if (name === null || isAuxiliary(files[0].filename)) continue
    const known = byName.get(name)
    if (known === undefined) byName.set(name, { name, files: files.length, size })
    else {
      known.files += files.length
      known.size = known.size === null || size === null ? null : known.size + size
    }
  }
  return [...byName.values()].sort((a, b) => (a.size ?? Infinity) - (b.size ?? Infinity))
}

/** How many models of a ref are looked into. */
const maxLooks = 4

/**
 * Chooses the models whose headers are read. Quantisations of one model differ in little else, so the smallest of them
 * stands for all; what only belongs to a model comes last.
 */
export function worthReading<F extends ListedFile>(models: readonly ModelFiles<F>[]): ModelFiles<F>[] {
  const chosen = new Map<string, ModelFiles<F>>()
  for (const model of models) {
    const known = chosen.get(model.family)
    if (known === undefined || (model.size ?? Infinity) < (known.size ?? Infinity))
      chosen.set(model.family, model)
  }
  const rank = ({ files: [{ filename }] }: ModelFiles<F>) => Number(isAuxiliary(filename))
  return [...chosen.values()]
    .sort((a, b) => rank(a) - rank(b) || (b.size ?? 0) - (a.size ?? 0))
    .slice(0, maxLooks)
}
