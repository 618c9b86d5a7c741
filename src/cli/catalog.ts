import { Catalog } from '../catalog/catalog.js'
import { managerOptionsSchema } from '../manager/options.js'
import { sourceRegistry } from '../sources/resolver.js'
import { isUsage, toUsageError } from './arguments.js'

const defaultModes = ['llm', 'embed', 'rerank']

/**
 * Reads the catalog that was named on the command line.
 *
 * @throws UsageError when it is none.
 */
export async function readCatalog(file: string): Promise<Catalog> {
  try {
    const catalog = await Catalog.fromFile(file)
    // The command knows the sources of the package only, so a bad ref can be reported now.
    catalog.identifiedBy(sourceRegistry())
    return catalog
  } catch (error) {
    throw isUsage(error) ? toUsageError(error) : error
  }
}

/** The sub-folders that downloads may name: the usual ones, and those of the catalog. Its bad ones are refused with it. */
export function modesFor(catalog: Catalog | null): string[] {
  const modes = new Set(defaultModes)
  for (const { mode } of catalog?.entries ?? []) {
    if (mode !== null && managerOptionsSchema.shape.modes.safeParse([mode]).success) modes.add(mode)
  }
  return [...modes]
}
