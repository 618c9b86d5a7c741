/** The settings in the URL of a binding's page. */
import { createClient } from '../../../src/client/index.ts'
import { drawn } from '../bindings/app.ts'

const { location } = globalThis
const params = new URLSearchParams(location.search)

/** For tests. */
globalThis.drawn = drawn

export const root = globalThis.document.getElementById('root')
export const props = {
  client: createClient({
    baseUrl: params.get('api'),
    headers: () => (globalThis.token === undefined ? {} : { authorization: `Bearer ${globalThis.token}` }),
  }),
  urls: params.getAll('url'),
  models: params.has('models'),
}
