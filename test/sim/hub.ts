/** A simulated hub: it lists the files of a group, and gives tokens for them. */
import type { SimRequest, SimServer, Step } from './network.js'
import { faultySteps, head, send } from './steps.js'
import type { HubSpec, RequestFault } from './spec.js'

/** The name of the hub. */
export const hubHost = 'hub.test'

/** Where the hub lists the group. */
export const listUrl = `http://${hubHost}/list`

export class HubServer implements SimServer {
  readonly address = '93.184.9.9'
  readonly #spec: HubSpec
  readonly #world: { readonly isCalm: () => boolean; readonly now: () => number }
  /** When each token was first used; null for one that has not been. */
  readonly #given = new Map<string, number | null>()
  #requests = 0

  constructor(spec: HubSpec, world: { readonly isCalm: () => boolean; readonly now: () => number }) {
    this.#spec = spec
    this.#world = world
  }

  #faultOf(request: number): RequestFault | undefined {
    return this.#world.isCalm()
      ? undefined
      : this.#spec.faults.find((each) => each.request === request)?.fault
  }

  accept(number: number): 'open' | 'refuse' {
    return this.#faultOf(number)?.kind === 'refused' ? 'refuse' : 'open'
  }

  respond(): readonly Step[] {
    const fault = this.#faultOf(++this.#requests)
    const token = `token-${this.#requests}`
    this.#given.set(token, null)
    const text = JSON.stringify({ token })
    const headers = { 'content-type': 'application/json', 'content-length': String(text.length) }
    return faultySteps([send(head(200, headers)), send(text), { kind: 'done' }], fault)
  }

  released(): void {}

  /** Whether a request for a file has a token that is still good. */
  admits({ headers }: SimRequest): boolean {
    const token = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '')?.[1]
    const known = token === undefined ? undefined : this.#given.get(token)
    if (token === undefined || known === undefined) return false
    // It may have been on its way for longer than it lasts, and then no client could ever use one.
    const since = known ?? this.#world.now()
    this.#given.set(token, since)
    return this.#world.now() - since <= (this.#spec.tokenMs ?? Infinity)
  }
}
