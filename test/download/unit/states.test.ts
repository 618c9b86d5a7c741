import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import {
  canMove,
  downloadStates,
  isActive,
  isSettled,
  move,
  transitions,
  type DownloadState,
} from '../../../src/download/states.js'

const states = fc.constantFrom(...downloadStates)

function codeOf(run: () => unknown): string | null {
  try {
    run()
  } catch (error) {
    return isDownloadError(error) ? error.code : String(error)
  }
  return null
}

describe('the table', () => {
  it('knows every state and leads only to known ones', () => {
    expect(Object.keys(transitions).sort()).toEqual([...downloadStates].sort())
    for (const targets of Object.values(transitions)) {
      expect(new Set(targets).size).toBe(targets.length)
      for (const target of targets) expect(downloadStates).toContain(target)
    }
  })

  it('lets the lucky path through', () => {
    const path: DownloadState[] = ['queued', 'resolving', 'downloading', 'verifying', 'completed']
    for (const [index, to] of path.entries()) {
      const from = path[index - 1]
      if (from !== undefined) expect(move(from, to)).toBe(to)
    }
  })

  it('lets every live state be paused, failed and canceled', () => {
    for (const from of downloadStates.filter((state) => !isSettled(state) && state !== 'paused')) {
      for (const to of ['paused', 'failed', 'canceled'] as const) expect(canMove(from, to)).toBe(true)
    }
  })

  it.each([
    ['queued', 'downloading'],
    ['queued', 'completed'],
    ['queued', 'verifying'],
    ['paused', 'downloading'],
    ['paused', 'completed'],
    ['completed', 'paused'],
    ['completed', 'failed'],
    ['completed', 'canceled'],
    ['failed', 'completed'],
    ['canceled', 'completed'],
    ['canceled', 'paused'],
  ] as const)('forbids %s → %s', (from, to) => {
    expect(canMove(from, to)).toBe(false)
    expect(codeOf(() => move(from, to))).toBe('INVALID_STATE')
  })

  it('says which move is not allowed', () => {
    expect(() => move('completed', 'paused')).toThrow('A download that is completed cannot become paused.')
  })

  it('leaves a settled or paused download only by the queue, or by giving it up', () => {
    for (const from of downloadStates.filter((state) => isSettled(state) || state === 'paused')) {
      expect(transitions[from]).toContain('queued')
      for (const to of transitions[from]) expect(['queued', 'failed', 'canceled']).toContain(to)
    }
  })

  it('lets no state move to itself', () => {
    for (const state of downloadStates) expect(canMove(state, state)).toBe(false)
  })
})

describe('any walk', () => {
  it('stays in the table; what is not in it throws INVALID_STATE and changes nothing', () => {
    fc.assert(
      fc.property(fc.array(states, { maxLength: 100 }), (wishes) => {
        let state: DownloadState = 'queued'
        for (const wish of wishes) {
          if (transitions[state].includes(wish)) {
            expect(canMove(state, wish)).toBe(true)
            state = move(state, wish)
            expect(state).toBe(wish)
          } else {
            const from: DownloadState = state
            expect(canMove(from, wish)).toBe(false)
            expect(codeOf(() => move(from, wish))).toBe('INVALID_STATE')
          }
        }
      }),
    )
  })

  it('reaches completion from everywhere', () => {
    for (const begin of downloadStates) {
      const seen = new Set<DownloadState>([begin])
      for (const state of seen) for (const next of transitions[state]) seen.add(next)
      expect([...seen].sort()).toEqual([...downloadStates].sort())
    }
  })
})

it('tells active from settled', () => {
  expect(downloadStates.filter(isActive)).toEqual(['resolving', 'downloading', 'verifying'])
  expect(downloadStates.filter(isSettled)).toEqual(['completed', 'failed', 'canceled'])
})
