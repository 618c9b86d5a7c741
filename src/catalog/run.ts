/** The run of a preload: what it wants, and how far each model is. Pure. */
import * as z from 'zod'
import { redactUrls } from '../util/redact.js'

const settledPhases = ['completed', 'failed', 'canceled'] as const

const modelSchema = z.object({
  key: z.string().min(1),
  url: z.string().min(1),
  required: z.boolean(),
  /**
   * `waiting`: the manager has not been asked yet. `active`: it was, and works or will. `paused`: somebody paused it.
   * The others are ends.
   */
  phase: z.enum(['waiting', 'active', 'paused', ...settledPhases]),
  /** Somebody else had asked for the URL already: canceling the run leaves it alone. */
  joined: z.boolean(),
  /**
   * When the URL's download had ended at the time that the run began, or null. Another value later says that it has
   * ended during the run, whatever else was written down before a kill.
   */
  before: z.string().nullable(),
  /** Why it failed. */
  error: z.string().nullable(),
})

/** What is written down of a run. Version 1. */
export const runSchema = z.object({
  version: z.literal(1),
  /** ISO 8601 in UTC. */
  startedAt: z.string(),
  finishedAt: z.string().nullable(),
  /** `canceling`: its downloads are being stopped. `interrupted`: its process died, and nobody went on. */
  outcome: z.enum(['running', 'canceling', 'succeeded', 'failed', 'canceled', 'interrupted']),
  /** Absolute. */
  outputDir: z.string().min(1),
  force: z.boolean(),
  /** In the catalog's order. */
  models: z.array(modelSchema),
})

/** A run, or what is left of it. */
export type Run = z.infer<typeof runSchema>

/** One model of a run. */
export type RunModel = Run['models'][number]

/** How a model ended. */
export type SettledPhase = (typeof settledPhases)[number]

/** What can happen to a run. */
export type RunAction =
  /** The manager was asked for a model, or works on it (again). */
  | { type: 'asked'; key: string }
  | { type: 'paused'; key: string }
  | { type: 'settled'; key: string; phase: SettledPhase; error?: string }
  /** The catalog gives it another URL since the last process. */
  | { type: 'moved'; key: string; url: string; before: string | null }
  | { type: 'cancel' }
  /** All is done that was to be done. */
  | { type: 'end'; at: string }
  /** The process died, and nobody goes on. */
  | { type: 'interrupt'; at: string }

/** Whether a run is going. */
export function isRunning(run: Run | null): run is Run {
  return run !== null && run.finishedAt === null
}

/** Whether a model has come to its end. */
export function isThrough(model: RunModel): boolean {
  return model.phase === 'completed' || model.phase === 'failed' || model.phase === 'canceled'
}

/** The run after an action; the very same object when the action changes nothing, or comes too late. */
export function reduce(run: Run, action: RunAction): Run {
  if (!isRunning(run)) return run
  switch (action.type) {
    case 'asked':
      // Also a failed one that somebody tries again while the others are still being fetched.
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
        // What works for this run alone is stopped first; the rest has nothing to wait for.
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

/** Those that ended without their file. */
export function failedModels(run: Run): RunModel[] {
  return run.models.filter((model) => model.phase === 'failed' || model.phase === 'canceled')
}

/** How many models are there. */
export function completedModels(run: Run): number {
  return run.models.filter((model) => model.phase === 'completed').length
}

/**
 * Per cent, one decimal; each model counts the same. 100 only when all are there.
 *
 * @param percentOf - how far a model is that isn't there yet, 0 to 100.
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

/** Lines that are kept. */
export const maxLogLines = 500

/** A line is for people; what is longer is cut. */
const maxLineLength = 1_000

/**
 * One line: `2026-02-15T02:00:01Z [llm] downloading …`, without line breaks, terminal codes and secrets in URLs.
 *
 * @param at - when.
 * @param about - the key of a model, or `preload` for the run.
 * @param message - what happened.
 */
export function logLine(at: Date, about: string, message: string): string {
  const text = redactUrls(message).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
  const cut = text.length > maxLineLength ? `${text.slice(0, maxLineLength)}…` : text
  return `${at.toISOString().slice(0, 19)}Z [${about}] ${cut}`
}

/** The lines with one more; the oldest go when there are too many. */
export function appendLine(lines: readonly string[], line: string): string[] {
  return [...lines.slice(-(maxLogLines - 1)), line]
}
