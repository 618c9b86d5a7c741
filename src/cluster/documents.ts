import type { SharedDocuments } from '../manager/cluster/coordinator.js'
import type { LoadedDocument } from '../store/store.js'
import type { ClusterBackend } from './backend.js'

/** The documents of a cluster, and those who want to know when one was written. */
export class ClusterDocuments implements SharedDocuments {
  readonly #backend: ClusterBackend
  readonly #listeners = new Set<(name: string) => Promise<void>>()
  readonly #pending = new Set<Promise<void>>()

  constructor(backend: ClusterBackend) {
    this.#backend = backend
  }

  lead(name: string): Promise<boolean> {
    return this.#backend.lead(name)
  }

  resign(name: string): Promise<void> {
    return this.#backend.resign(name)
  }

  /** Reads a document as it is stored. */
  load(name: string): Promise<LoadedDocument> {
    return this.#backend.readDocument(name)
  }

  async read(name: string): Promise<unknown> {
    return (await this.load(name)).value
  }

  write(name: string, value: unknown): Promise<void> {
    const written = this.#backend.writeDocument(name, value)
    this.#wait(written)
    return written
  }

  onChange(listener: (name: string) => Promise<void>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A document was written, by this instance or another one. */
  changed(name: string): void {
    for (const listener of this.#listeners) this.#wait(listener(name))
  }

  /** Resolves once what is being written is stored, and what was written has been read by the listeners. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  #wait(task: Promise<void>): void {
    const forget = () => {
      this.#pending.delete(ended)
    }
    const ended: Promise<void> = task.then(forget, forget)
    this.#pending.add(ended)
  }
}
