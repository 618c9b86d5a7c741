/** A typical dashboard for preloads: axios, polling until the run is over, then a request for the models. */
import type { AxiosInstance, AxiosStatic } from 'axios'

/** The fields of `GET /api/v1/models/preload/status` that it reads. */
export interface Run {
  running: boolean
  started_at: string | null
  finished_at: string | null
  success_flag: boolean | null
  return_code: number | null
  error: string | null
  output_dir: string | null
  logs: string[]
}

/** The fields of `GET /api/v1/models/status` that it reads. */
export interface Models {
  models: Record<string, { ready: boolean; name: string; cache_hint: string; message: string }>
  catalog: { key: string; name: string; required: boolean; auto_download: boolean; description: string }[]
  any_ready: boolean
  any_missing: boolean
  first_use_tip: string
  timestamp: string
}

/** What the people who use it set. */
export interface Form {
  models?: string
  output_dir?: string
  force?: boolean
}

/** See the head of this file. */
export class Dashboard {
  run: Run | null = null
  models: Models | null = null
  /** What went wrong with the last click. */
  error = ''
  /** What it has shown of runs, oldest first. */
  readonly seen: Run[] = []
  readonly #api: AxiosInstance
  readonly #everyMs: number

  constructor(axios: AxiosStatic, baseURL: string, token: string, everyMs = 3_000) {
    this.#api = axios.create({ baseURL, headers: token === '' ? {} : { Authorization: `Bearer ${token}` } })
    this.#everyMs = everyMs
  }

  /** Opens the page: a run may be going. */
  async open(): Promise<void> {
    await this.#guard(async () => {
      await this.#loadModels()
      await this.#poll()
    })
  }

  /** The button. */
  async start(form: Form = {}): Promise<void> {
    await this.#guard(async () => {
      await this.#api.post('/api/v1/models/preload/start', null, { params: form })
      await this.#poll()
    })
  }

  async #poll(): Promise<void> {
    for (;;) {
      const { data } = await this.#api.get<Run>('/api/v1/models/preload/status')
      this.run = data
      this.seen.push(data)
      if (!data.running) break
      await new Promise((resolve) => setTimeout(resolve, this.#everyMs))
    }
    await this.#loadModels()
  }

  async #loadModels(): Promise<void> {
    this.models = (await this.#api.get<Models>('/api/v1/models/status')).data
  }

  async #guard(task: () => Promise<void>): Promise<void> {
    this.error = ''
    try {
      await task()
    } catch (error) {
      // What axios throws; anything else would be a bug of this page.
      const failure = error as { message: string; response?: { data?: { detail?: string } } }
      this.error = failure.response?.data?.detail ?? failure.message
    }
  }
}
