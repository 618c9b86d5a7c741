/** The command that is run for each finished file. It is a program with arguments, and no shell reads it. Pure. */

/** A finished file, as the command is told of it. */
export interface FinishedFile {
  url: string
  path: string
  size: number | null
  sha256: string | null
  /** Whether it existed before, so that nothing was fetched. */
  existed: boolean
}

/** Stands for the path of the file in an argument. */
const place = '{}'

/** The arguments of the program: those given, with the path of the file in place of `{}`, or after all of them. */
export function argumentsFor(args: readonly string[], { path }: FinishedFile): string[] {
  if (!args.some((arg) => arg.includes(place))) return [...args, path]
  return args.map((arg) => arg.replaceAll(place, () => path))
}

/** What the program finds in its environment about the file. */
export function variablesFor({ url, path, size, sha256, existed }: FinishedFile): Record<string, string> {
  return {
    MODEL_DOWNLOADER_FILE: path,
    MODEL_DOWNLOADER_FILE_URL: url,
    MODEL_DOWNLOADER_FILE_SIZE: size === null ? '' : String(size),
    MODEL_DOWNLOADER_FILE_SHA256: sha256 ?? '',
    MODEL_DOWNLOADER_FILE_EXISTED: existed ? '1' : '0',
  }
}
