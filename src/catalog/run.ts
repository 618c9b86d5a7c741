/** State of a preload run: its models and their progress. Pure. */
import * as z from 'zod'
import { redactUrls } from '../util/redact.js'

const settledPhases = ['completed', 'failed', 'canceled'] as const

const modelSchema = z.object({
  key: z.string().min(1).max(256),
  url: z.string().min(1).max(16_384),
  required: z.boolean(),
  /**
   * `waiting`: not requested from the manager yet. `active`: requested, and queued or downloading. `paused`:
   * paused by somebody. The other phases are final.
   */
  phase: z.enum(['waiting', 'active', 'paused', ...settledPhases]),
  /**
   * Whether the URL was already being downloaded for somebody else. Canceling the run does not stop such a
   * download.
   */
  joined: z.boolean(),
  /**
   * `finishedAt` of the download of this URL when the run started, or null. A different value later shows
   * that the download has ended during the run, whatever else was stored before a crash.
   */
  before: z.string().nullable(),
  /** Why the model failed. */
  error: z.string().nullable(),
})

/** Stored form of a run, version 1. */
export const runSchema = z.object({
  version: z.literal(1),
  /** ISO 8601 in UTC. */
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  /**
   * `canceling`: its downloads are being stopped. `interrupted`: the process ended and the run was not
   * resumed.
   */
  outcome: z.enum(['running', 'canceling', 'succeeded', 'failed', 'canceled', 'interrupted']),
  /** Absolute. */
  outputDir: z.string().min(1),
  force: z.boolean(),
  /** In the catalog's order. */
  models: z.array(modelSchema).max(10_000),
})

/** A run, active or ended. */
export type Run = z.infer<typeof runSchema>

/** A model of a run. */
export type RunModel = Run['models'][number]

/** Final phase of a model. */
export type SettledPhase = (typeof settledPhases)[number]

/** An action that changes a run. */
export type RunAction =
  /** A model was requested from the manager, or its download was resumed or retried. */
  | { type: 'asked'; key: string }
  | { type: 'paused'; key: string }
  | { type: 'settled'; key: string; phase: SettledPhase; error?: string }
  /** The catalog has another URL for the model than before the restart. */
  | { type: 'moved'; key: string; url: string; before: string | null }
  | { type: 'cancel' }
  /** Every model has ended. */
  | { type: 'end'; at: string }
  /** The process ended and the run is not resumed. */
  | { type: 'interrupt'; at: string }

/** Whether a run is active. */
export function isRunning(run: Run | null): run is Run {
  return run !== null && run.finishedAt === null
}

/** Whether a model has ended. */
export function isThrough(model: RunModel): boolean {
  return model.phase === 'completed' || model.phase === 'failed' || model.phase === 'canceled'
}

/** Returns the run after an action, or the same object if the action changes nothing or comes too late. */
export function reduce(run: Run, action: RunAction): Run {
  if (!isRunning(run)) return run
  switch (action.type) {
    case 'asked':
      // Also applies to a failed model that somebody retries while others are still being downloaded.
      return run.outcome === 'canceling'
        ? run
        : change(run, action.key, (model) => model.phase !== 'completed', { phase: 'active', error: null })
    case 'paused': {
      const phase = run.outcome === 'canceling' ? 'canceled' : 'paused'
      return change(run, action.key, (model) => model.phase === 'active', { phase })
    }
    case 'settled':
      return change(run, action.key, (model) => !isThrough(model), {
        phase: action.phase,
        error: action.error ?? null,
      })
    case 'moved':
      return change(run, action.key, (model) => !isThrough(model) && model.url !== action.url, {
        url: action.url,
        before: action.before,
        phase: 'waiting',
        joined: false,
      })
    case 'cancel':
      if (run.outcome === 'canceling') return run
      return {
        ...run,
        outcome: 'canceling',
        // Active downloads of this run alone must be stopped first; all others end at once.
        models: run.models.map((model) =>
          isThrough(model) || (model.phase === 'active' && !model.joined)
            ? model
            : { ...model, phase: 'canceled' },
        ),
      }
    case 'end':
      return run.models.every(isThrough) ? { ...run, outcome: outcomeOf(run), finishedAt: action.at } : run
    case 'interrupt':
      return {
        ...run,
        outcome: 'interrupted',
        finishedAt: action.at,
        models: run.models.map((model) => (isThrough(model) ? model : { ...model, phase: 'canceled' })),
      }
  }
}

function change(run: Run, key: string, applies: (model: RunModel) => boolean, to: Partial<RunModel>): Run {
  const at = run.models.findIndex((model) => model.key === key)
  const model = run.models[at]
  if (model === undefined || !applies(model)) return run
  if (model.phase === to.phase && to.url === undefined) return run
  return { ...run, models: run.models.with(at, { ...model, ...to }) }
}

function outcomeOf(run: Run): Run['outcome'] {
  const canceled = run.models.some((model) => model.phase === 'canceled')
  if (run.outcome === 'canceling' && canceled) return 'canceled'
  return failedModels(run).some((model) => model.required) ? 'failed' : 'succeeded'
}

/** Models that ended without their file. */
export function failedModels(run: Run): RunModel[] {
  return run.models.filter((model) => model.phase === 'failed' || model.phase === 'canceled')
}

/** Number of completed models. */
export function completedModels(run: Run): number {
  return run.models.filter((model) => model.phase === 'completed').length
}

/**
 * Percentage with one decimal; each model counts equally. 100 only when all are completed.
 *
 * @param percentOf - percentage of a model that is not completed, 0 to 100.
 */
export function runProgress(run: Run, percentOf: (model: RunModel) => number): number {
  const { models } = run
  if (models.every((model) => model.phase === 'completed')) return 100
  const sum = models.reduce(
    (total, model) => total + (model.phase === 'completed' ? 100 : percentOf(model)),
    0,
  )
  return Math.max(0, Math.min(99.9, Math.floor((sum * 10) / models.length) / 10))
}

// ---- The log of a preload. Pure.

/** Maximum number of lines that are kept. */
export const maxLogLines = 500

/** Maximum length of a line; longer lines are truncated. */
const maxLineLength = 1_000

/**
 * Formats a line: `2026-02-15T02:00:01Z [llm] downloading …`, without line breaks, control characters and
 * secrets in URLs.
 *
 * @param at - time of the event.
 * @param about - key of a model, or `preload` for the run.
 * @param message - what happened.
 */
export function logLine(at: Date, about: string, message: string): string {
  return `${at.toISOString().slice(0, 19)}Z [${about}] ${cleanLine(redactUrls(message))}`
}

/** Removes control characters, and cuts off what is too long. */
export function cleanLine(line: string, maxLength = maxLineLength): string {
  const text = line.slice(0, 2 * maxLength).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
  return text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
}

/** Appends a line, and drops the oldest ones when there are too many. */
export function appendLine(lines: readonly string[], line: string): string[] {
  return [...lines.slice(-(maxLogLines - 1)), line]
}
