import { Catalog } from '../catalog/catalog.js'
import { managerOptionsSchema } from '../manager/options.js'
import { sourceRegistry } from '../sources/resolver.js'
import { isUsage, toUsageError } from './checks/usage.js'

const defaultModes = ['llm', 'embed', 'rerank']

/**
 * Reads the catalog named on the command line.
 *
 * @throws UsageError when the file is not a valid catalog.
 */
export async function readCatalog(file: string): Promise<Catalog> {
  try {
    const catalog = await Catalog.fromFile(file)
    // The command uses only the sources of this package, so invalid refs can be reported right away.
    catalog.identifiedBy(sourceRegistry())
    return catalog
  } catch (error) {
    throw isUsage(error) ? toUsageError(error) : error
  }
}

/**
 * The sub-folders that downloads may use: the default ones and those of the catalog. Invalid modes are
 * skipped here, because they are reported together with the catalog.
 */
export function modesFor(catalog: Catalog | null): string[] {
  const modes = new Set(defaultModes)
  for (const { mode } of catalog?.entries ?? []) {
    if (mode !== null && managerOptionsSchema.shape.modes.safeParse([mode]).success) modes.add(mode)
  }
  return [...modes]
}
