import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../src/errors.js'
import { storeError } from '../../src/store/store.js'

const message = 'The store could not be read.'

describe('storeError', () => {
  it.each([
    ['an error', new Error('no disk')],
    ['a text', 'no disk'],
    ['nothing at all', undefined],
  ])('names %s STORE_ERROR, with the reason as its cause', (_, reason) => {
    const error = storeError(reason, message)
    expect(error).toMatchObject({ code: 'STORE_ERROR', message, retryable: false })
    expect(error.cause).toBe(reason)
  })

  it('leaves what has the code already as it is', () => {
    const own = new DownloadError('STORE_ERROR', 'The database is away.', { retryable: true })
    expect(storeError(own, message)).toBe(own)
  })

  it.each([true, false])(
    'gives any other code the one of stores; whether it may pass stays: %s',
    (retryable) => {
      const reason = new DownloadError('NO_SPACE', 'The disk is full.', { retryable })
      const error = storeError(reason, message)
      expect(error).toMatchObject({ code: 'STORE_ERROR', message, retryable })
      expect(error.cause).toBe(reason)
    },
  )
})
