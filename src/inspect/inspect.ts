/** Looks at a ref or URL without fetching it: its files, and the headers of its models. */
import pLimit from 'p-limit'
import { filenameFromServer } from '../disk/names.js'
import { type DownloadError, isDownloadError, offlineError, toDownloadError } from '../errors.js'
import { statedSize } from '../net/content-range.js'
import type { FileReader } from '../sources/file-reader.js'
import { identify } from '../sources/identify.js'
import { parseJson } from '../sources/json.js'
import { isGguf, quantOf } from '../sources/quantisation.js'
import type { Resolver, ResolveRequest } from '../sources/resolver.js'
import type { ResolvedFile, SourceDescription } from '../sources/source.js'
import type { Digest } from '../util/digests.js'
import {
  type ListedFile,
  type ModelFiles,
  modelsIn,
  type Quantisation,
  quantisationsOf,
  worthReading,
} from './contents.js'
import { type GgufFacts, noGgufFacts, parseGguf } from './gguf.js'
import { type HeaderBounds, invalidHeader, readHeader } from './header.js'
import {
  addSafetensors,
  mainType,
  readSafetensorsJson,
  type SafetensorsFacts,
  summarizeSafetensors,
} from './safetensors.js'

/** A file of an {@link Inspection}. */
export interface InspectedFile {
  /** Path in the repository, with slashes; of a plain URL, the name of the file. */
  filename: string
  /** In bytes; null if unknown. */
  size: number | null
  /** SHA-256 in lower-case hex, if the source states it; otherwise null. */
  sha256: string | null
  /** Git object ID, if the source keeps the file in git; otherwise null. */
  gitOid: string | null
  /** Digests by other algorithms that the source states, such as BLAKE3 or CRC-32C; often none. */
  digests: readonly Digest[]
  /** Quantisation that the name of a GGUF file states, in upper case; otherwise null. */
  quantisation: string | null
}

/** What the header of a model says. What it does not say, or what could not be read, is null. */
export interface ModelHeader {
  /** Such as `llama`; of safetensors, what `config.json` beside them says, such as `LlamaForCausalLM`. */
  architecture: string | null
  /** Name of the model. */
  name: string | null
  /** Numbers in all tensors of all files. */
  parameters: number | null
  /** Longest context, in tokens. */
  contextLength: number | null
  /** Such as `Q4_K_M`; of safetensors, the type of most numbers, such as `BF16`. */
  quantisation: string | null
  /** Number of tensors in all files. */
  tensors: number | null
  /** Whether there is a chat template. */
  chatTemplate: boolean | null
}

/** A model among the files of an {@link Inspection}: one file, or all parts of a split one. */
export interface InspectedModel {
  /** Its first file. */
  filename: string
  /** Format of its files. */
  format: 'gguf' | 'safetensors'
  /** Number of its files. */
  files: number
  /** Size of all of them in bytes; null if unknown. */
  size: number | null
  /** What its header says; null if the header was not read, or could not be. */
  header: ModelHeader | null
  /** Why the header could not be read, or not completely; otherwise null. */
  error: DownloadError | null
}

/** What a ref or URL stands for: the result of `DownloadManager.inspect`. */
export interface Inspection {
  /** The ref or URL. */
  url: string
  /** Name of the source; null for a plain URL. */
  source: string | null
  /** Name of the repository or model; null if there is none. */
  name: string | null
  /** Revision that the ref resolved to, such as a commit; null if there is none. */
  revision: string | null
  /** Web page for people; null if unknown. */
  page: string | null
  /** Licence, as the source names it; null if unknown. */
  license: string | null
  /** Whether only accounts that have accepted its terms get the files; null if unknown. */
  gated: boolean | null
  /** All files, in the order of the source; at least one. */
  files: InspectedFile[]
  /** Size of all files in bytes; null if that of any is unknown. */
  totalBytes: number | null
  /** Quantisations of the GGUF models, the smallest first. */
  quantisations: Quantisation[]
  /**
   * The models among the files. The headers of at most four are read; of the quantisations of one model only the smallest,
   * since the others differ in little else.
   */
  models: InspectedModel[]
}

/** How to inspect a ref. */
export interface InspectRequest extends ResolveRequest {
  /** Request headers for a plain URL. Default: none. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Whether headers of models are read. Default true. */
  readHeaders?: boolean | undefined
  /** Use no network. Default: what the manager and the environment say. */
  offline?: boolean | undefined
}

/** A file of which parts can be read. */
type ReadableFile = Omit<ResolvedFile, 'size'> & ListedFile

/** A vocabulary of 250,000 tokens takes about 12 MB. */
const ggufBounds: HeaderBounds = { maxBytes: 32 * 1024 * 1024, maxReads: 64, firstBytes: 256 * 1024 }

/** The first read contains most headers completely. */
const safetensorsBounds: HeaderBounds = { maxBytes: 17 * 1024 * 1024, maxReads: 4, firstBytes: 64 * 1024 }

/** A model in more files is not looked into. */
const maxParts = 512

/** How many headers are read at the same time. */
const maxParallelReads = 4

/** The largest JSON file beside a model that is read, in bytes. */
const maxConfigBytes = 4 * 1024 * 1024

/**
 * Looks at a ref or URL.
 *
 * @throws DownloadError `INVALID_URL`; the errors of the source, or of the server of a plain URL. A header that can't be
 * read is a part of the result.
 */
export async function inspectRef(
  text: string,
  resolver: Resolver,
  { headers = {}, readHeaders = true, offline, ...request }: InspectRequest,
): Promise<Inspection> {
  const identified = identify(text, resolver, request.remote)
  if (resolver.isOffline(text, offline)) throw offlineError('The network must not be used.')
  const found =
    identified.kind === 'ref'
      ? await resolveRef(text, identified.source.name, resolver, request)
      : await probeUrl(identified.url, resolver, { ...request, headers, filename: identified.filename })
  const files = found.files.map((file): ReadableFile => ({ ...file, size: file.size ?? null }))
  const models = modelsIn(files)
  const reader = resolver.reader(request)
  try {
    const read = readHeaders ? new Set(worthReading(models)) : new Set()
    const slots = pLimit(maxParallelReads)
    const look = new Look(reader, files)
    return {
      url: text,
      source: found.source,
      name: found.name,
      revision: files[0]?.revision ?? null,
      page: found.page ?? null,
      license: found.license ?? null,
      gated: found.gated ?? null,
      files: files.map(({ filename, size, sha256 = null, gitOid = null, digests = [] }) => ({
        filename,
        size,
        sha256,
        gitOid,
        digests,
        quantisation: isGguf(filename) ? quantOf(filename) : null,
      })),
      totalBytes: files.reduce<number | null>(
        (sum, { size }) => (sum === null || size === null ? null : sum + size),
        0,
      ),
      quantisations: quantisationsOf(models),
      models: await slots.map(models, async (model) => {
        const { format, size, files: parts } = model
        const facts = read.has(model) ? await look.at(model) : { header: null, error: null }
        return { filename: parts[0].filename, format, files: parts.length, size, ...facts }
      }),
    }
  } finally {
    await reader.close()
  }
}

interface Found extends SourceDescription {
  source: string | null
  name: string | null
  files: readonly ResolvedFile[]
}

async function resolveRef(
  text: string,
  source: string,
  resolver: Resolver,
  request: ResolveRequest,
): Promise<Found> {
  const [{ name = null, files }, description] = await Promise.all([
    resolver.resolve(text, request),
    // It is only shown.
    resolver.describe(text, request).catch((): SourceDescription => ({})),
  ])
  return { ...description, source, name, files }
}

async function probeUrl(
  url: URL,
  resolver: Resolver,
  {
    filename,
    ...request
  }: ResolveRequest & { headers: Readonly<Record<string, string>>; filename: string | null },
): Promise<Found> {
  const answer = await resolver.probe(url, request)
  const contentDisposition = answer.headers['content-disposition'] ?? null
  const named = filename ?? filenameFromServer({ contentDisposition, finalUrl: new URL(answer.url) })
  const file = {
    filename: named ?? url.host,
    urls: [url.href],
    headers: request.headers,
    size: statedSize(answer) ?? undefined,
  }
  return { source: null, name: null, files: [file] }
}

/** Reads the headers of models. */
class Look {
  readonly #reader: FileReader
  readonly #byName: ReadonlyMap<string, ReadableFile>

  constructor(reader: FileReader, files: readonly ReadableFile[]) {
    this.#reader = reader
    this.#byName = new Map(files.map((file) => [file.filename, file]))
  }

  /** Reads the header of a model. */
  async at(model: ModelFiles<ReadableFile>): Promise<Pick<InspectedModel, 'header' | 'error'>> {
    const header: ModelHeader = {
      architecture: null,
      name: null,
      parameters: null,
      contextLength: null,
      quantisation: model.quantisation,
      tensors: null,
      chatTemplate: null,
    }
    try {
      if (model.files.length > maxParts)
        throw invalidHeader(`The model has more than ${String(maxParts)} files, so its headers are not read.`)
      if (model.format === 'gguf') await this.#gguf(model, header)
      else await this.#safetensors(model, header)
      if (model.files.length < model.expected)
        throw invalidHeader(
          `Only ${String(model.files.length)} of the model's ${String(model.expected)} files are here.`,
        )
      return { header, error: null }
    } catch (error) {
      if (isDownloadError(error, 'CANCELED')) throw error
      const isEmpty = header.architecture === null && header.tensors === null
      return { header: isEmpty ? null : header, error: toDownloadError(error) }
    }
  }

  async #gguf({ files, expected }: ModelFiles<ReadableFile>, header: ModelHeader): Promise<void> {
    const [first, ...others] = files
    const facts = noGgufFacts()
    try {
      await this.#read(first, parseGguf(facts), ggufBounds)
    } finally {
      header.architecture = facts.architecture
      header.name = facts.name
      header.contextLength = facts.contextLength
      // A file name may say more, such as which kinds of tensors were kept.
      header.quantisation ??= facts.quantisation
      header.tensors = facts.splits > 1 ? facts.splitTensors : facts.tensors
      // In a header that ends early, it may come later.
      header.chatTemplate = facts.hasChatTemplate ? true : facts.parameters === null ? null : false
    }
    const rest = await pLimit(maxParallelReads).map(others, async (file): Promise<GgufFacts> => {
      const part = noGgufFacts()
      await this.#read(file, parseGguf(part), ggufBounds)
      return part
    })
    const all = [facts, ...rest]
    const isWhole = all.length >= Math.max(expected, facts.splits)
    const sum = (of: (part: GgufFacts) => number | null) =>
      all.reduce((total, part) => total + (of(part) ?? 0), 0)
    header.parameters = isWhole ? sum(({ parameters }) => parameters) : null
    if (isWhole) header.tensors ??= sum(({ tensors }) => tensors)
  }

  async #safetensors({ files, expected }: ModelFiles<ReadableFile>, header: ModelHeader): Promise<void> {
    const parts = await pLimit(maxParallelReads).map(files, async (file): Promise<SafetensorsFacts> => {
      const json = await this.#read(file, readSafetensorsJson(), safetensorsBounds)
      return summarizeSafetensors(await parse(json))
    })
    const all = addSafetensors(parts)
    header.quantisation = mainType(all.types)
    if (files.length >= expected) {
      header.tensors = all.tensors
      header.parameters = all.parameters
    } else header.tensors = await this.#tensorsInIndex(files[0].filename)
    await this.#config(files[0].filename, header)
  }

  /** The number of tensors that the index of a split model lists; null if it has none. */
  async #tensorsInIndex(filename: string): Promise<number | null> {
    const index = filename.replace(/(?:-\d{5}-of-\d{5})?\.safetensors$/i, '.safetensors.index.json')
    const json = await this.#json(index)
    const map = json?.['weight_map']
    return typeof map === 'object' && map !== null ? Object.keys(map).length : null
  }

  /** Adds what the files beside a model say about it. */
  async #config(filename: string, header: ModelHeader): Promise<void> {
    const folder = filename.slice(0, filename.lastIndexOf('/') + 1)
    const config = await this.#json(`${folder}config.json`)
    if (config !== null) {
      const { architectures, model_type: type, text_config: inner } = config
      const first: unknown = Array.isArray(architectures) ? architectures[0] : null
      header.architecture = text(first) ?? text(type)
      const own = [config, inner].map((one) => (isObject(one) ? one['max_position_embeddings'] : null))
      const length = own.find((one): one is number => Number.isSafeInteger(one))
      header.contextLength = length ?? null
      const { quantization_config: quantized } = config
      if (isObject(quantized)) header.quantisation = text(quantized['quant_method']) ?? header.quantisation
    }
    if (['chat_template.jinja', 'chat_template.json'].some((name) => this.#byName.has(folder + name)))
      header.chatTemplate = true
    else {
      const tokenizer = await this.#json(`${folder}tokenizer_config.json`)
      header.chatTemplate = tokenizer === null ? null : 'chat_template' in tokenizer
    }
  }

  /** A JSON object among the files; null if there is none, or if it is none or too long. */
  async #json(filename: string): Promise<Record<string, unknown> | null> {
    const file = this.#byName.get(filename)
    if (file === undefined || (file.size ?? 0) > maxConfigBytes) return null
    const { data } = await this.#reader.read(file, { from: 0, bytes: (file.size ?? maxConfigBytes) + 1 })
    const parsed = await parse(new TextDecoder().decode(data)).catch(() => null)
    return isObject(parsed) ? parsed : null
  }

  async #read<T>(
    file: ReadableFile,
    parsing: Parameters<typeof readHeader<T>>[0],
    bounds: HeaderBounds,
  ): Promise<T> {
    const read = async (from: number, bytes: number) => {
      // Beyond the end there is nothing to ask for.
      const left = file.size === null ? bytes : Math.min(bytes, file.size - from)
      return left <= 0 ? new Uint8Array() : (await this.#reader.read(file, { from, bytes: left })).data
    }
    return await readHeader(parsing, read, bounds)
  }
}

async function parse(json: string): Promise<unknown> {
  try {
    return await parseJson(json)
  } catch {
    throw invalidHeader('The safetensors header is not valid JSON, or too complex.')
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Longer names are not shown. */
const maxNameLength = 200

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxNameLength) : null
}
