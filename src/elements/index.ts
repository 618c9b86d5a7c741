/**
 * Web components: importing this registers `<model-downloads>`, `<model-download>` and `<model-preload>`. Harmless where
 * there is no page.
 */
import './download.js'
import './downloads.js'
import './preload.js'

export type {
  ElementLocale,
  ModelDownloadElement,
  ModelDownloadsElement,
  ModelElement,
  ModelPreloadElement,
  StringKey,
  Strings,
} from './types.js'
