import type { SharedDocuments } from '../manager/cluster/coordinator.js'
import type { ClusterBackend } from './backend.js'

/** The documents of a cluster, which all instances read, and one of them writes. */
export class ClusterDocuments implements SharedDocuments {
  readonly #backend: ClusterBackend
  readonly #listeners = new Set<(name: string) => void>()

  constructor(backend: ClusterBackend) {
    this.#backend = backend
  }

  lead(name: string): Promise<boolean> {
    return this.#backend.lead(name)
  }

  resign(name: string): Promise<void> {
    return this.#backend.resign(name)
  }

  async read(name: string): Promise<unknown> {
    return (await this.#backend.readDocument(name)).value
  }

  write(name: string, value: unknown): Promise<void> {
    return this.#backend.writeDocument(name, value)
  }

  onChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells the listeners that a document was written. */
  changed(name: string): void {
    for (const listener of this.#listeners) listener(name)
  }
}
