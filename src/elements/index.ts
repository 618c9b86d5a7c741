/**
 * Web components: importing this module registers `<model-downloads>`, `<model-download>` and `<model-preload>`. Where
 * there is no DOM, the import has no effect.
 */
import './download.js'
import './list/downloads.js'
import './catalog/preload.js'

export type {
  ElementLocale,
  ModelDownloadElement,
  ModelDownloadsElement,
  ModelElement,
  ModelPreloadElement,
  StringKey,
  Strings,
} from './types.js'
