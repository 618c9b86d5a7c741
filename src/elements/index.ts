/**
 * Web components: importing this registers `<model-downloads>`, `<model-download>` and `<model-preload>`. Harmless where
 * there is no page.
 */
import './download.js'
import './downloads.js'
import './preload.js'

export type {
  ModelDownloadElement,
  ModelDownloadsElement,
  ModelElement,
  ModelPreloadElement,
} from './types.js'
export type { ElementLocale, StringKey, Strings } from './strings.js'
