/** What worlds that are written by hand begin with. */
import type { ServerSpec } from './spec.js'

/** A server without any fault. */
export const plainServer: ServerSpec = {
  ranges: 'served',
  refusal: 403,
  length: 'told',
  validator: 'strong',
  redirect: 'none',
  keepAlive: true,
  faults: [],
  changesAt: null,
}
