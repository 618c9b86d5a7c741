/** Clients that elements share, and the permissions of their users. */
import { type Client, createClient, isDownloadError, type Permissions } from '../client/index.js'
import type { ElementLocale } from './strings.js'

const shared = new Map<string, Client>()

/**
 * The client that all elements of a page with the same server and language use, so that they share one connection.
 *
 * @param baseUrl - as for `createClient`.
 * @throws DownloadError `INVALID_URL`.
 */
export function sharedClient(baseUrl: string, locale: ElementLocale): Client {
  const key = `${locale} ${baseUrl}`
  let client = shared.get(key)
  if (client === undefined) {
    client = createClient({ baseUrl, headers: { 'accept-language': locale } })
    shared.set(key, client)
  }
  return client
}

/** What the user of a page is allowed to do. */
export interface Access {
  readonly read: boolean
  readonly manage: boolean
  readonly queue: boolean
  /** Whether the server has a catalog; null where an older server doesn't report it. */
  readonly preload: boolean | null
  /** Whether the server is a node of a fleet. */
  readonly fleet: boolean
  /** Whether the caller is not authenticated, so that signing in might help. */
  readonly unauthenticated: boolean
}

const everything: Access = {
  ...{ read: true, manage: true, queue: true },
  ...{ preload: null, fleet: false, unauthenticated: false },
}

function accessOf({ permissions, preload, fleet, unauthenticated }: Permissions): Access {
  return {
    read: permissions['downloads:read'],
    manage: permissions['downloads:manage'],
    queue: permissions['queue:manage'],
    preload,
    // An older server does not say.
    fleet: (fleet as boolean | undefined) === true,
    unauthenticated,
  }
}

/** The permissions of a client, requested once for all elements that use it. */
export class AccessStore {
  /** Null until the server has answered. */
  value: Access | null = null
  readonly #client: Client
  readonly #watchers = new Set<() => void>()
  #asking = false

  constructor(client: Client) {
    this.#client = client
  }

  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange)
    if (this.value === null) this.ask()
    return () => {
      this.#watchers.delete(onChange)
    }
  }

  /** Requests the permissions unless a request is running. A failed request is repeated on reconnect. */
  ask(): void {
    if (this.#asking) return
    this.#asking = true
    void this.#ask().finally(() => {
      this.#asking = false
    })
  }

  async #ask(): Promise<void> {
    try {
      this.value = accessOf(await this.#client.permissions())
    } catch (error) {
      // An older server has no such route; it still refuses what is not allowed.
      if (isDownloadError(error, 'NOT_FOUND')) this.value = everything
      else if (isDownloadError(error, 'ACCESS_DENIED'))
        this.value = {
          ...everything,
          ...{ read: false, manage: false, queue: false, unauthenticated: error.status === 401 },
        }
      else return
    }
    for (const tell of [...this.#watchers]) tell()
  }
}

const stores = new WeakMap<Client, AccessStore>()

/** The {@link AccessStore} of a client. */
export function accessFor(client: Client): AccessStore {
  let store = stores.get(client)
  if (store === undefined) stores.set(client, (store = new AccessStore(client)))
  return store
}
