/** Reads the lists that `--input-file` names. */
import { errnoOf } from '../../disk/errors.js'
import { open } from '../../disk/fs.js'
import { formatBytes } from '../../util/format.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { texts } from '../language.js'
import { decodeText } from '../../util/decode.js'
import { type Listed, ListError, parseList } from './list.js'
import { surroundings } from '../process/surroundings.js'

/** Largest list, in bytes. */
const maxListBytes = 64_000_000

/** One URL of a list, and the list. */
export interface ListedIn extends Listed {
  /** The list, as messages name it. */
  file: string
}

/**
 * Reads all lists.
 *
 * @param files - paths; `-` is standard input.
 * @throws UsageError when one can't be read or understood.
 */
export async function readLists(
  files: readonly string[],
  stdin: AsyncIterable<Buffer> = surroundings().stdin,
): Promise<ListedIn[]> {
  if (files.filter((file) => file === '-').length > 1) throw new UsageError(texts().listInputTwice)
  const listed: ListedIn[] = []
  for (const path of files) {
    const file = path === '-' ? texts().listInput : plain(path)
    listed.push(...(await readList(path, file, stdin)))
  }
  return listed
}

async function readList(path: string, file: string, stdin: AsyncIterable<Buffer>): Promise<ListedIn[]> {
  const decoded = decodeText(path === '-' ? await bytesOf(stdin, file) : await bytesOfFile(path, file))
  if ('badLine' in decoded) throw atLine(file, decoded.badLine, texts().listNotText)
  try {
    return parseList(decoded.text).map((one) => ({ ...one, file }))
  } catch (error) {
    throw error instanceof ListError ? atLine(file, error.line, error.message) : error
  }
}

/** A mistake in a line of a list. */
export function atLine(file: string, line: number, message: string): UsageError {
  return new UsageError(`${texts().listLine(file, line)}${message}`)
}

/** It may be a pipe, such as that of a process substitution, so its size is not known in advance. */
async function bytesOfFile(path: string, file: string): Promise<Buffer> {
  try {
    await using handle = await open(path, 'r')
    if ((await handle.stat()).isDirectory()) throw new UsageError(texts().listIsFolder(file))
    return await bytesOf(handle.createReadStream({ autoClose: false }), file)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(texts().listNotRead(file, errnoOf(error) ?? String(error)))
  }
}

async function bytesOf(source: AsyncIterable<Buffer>, file: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (size > maxListBytes) throw new UsageError(texts().listFileTooLarge(file, formatBytes(maxListBytes)))
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
