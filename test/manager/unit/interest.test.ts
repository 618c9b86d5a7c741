import { describe, expect, it, vi } from 'vitest'
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import { DownloadError } from '../../../src/errors.js'
import { Interest } from '../../../src/manager/interest.js'
import { recordOf } from '../../store/conformance.js'

const nobody: DownloadOwner = {
  pathOf: () => '',
  pause: () => Promise.reject(new Error('not here')),
  resume: () => Promise.reject(new Error('not here')),
  cancel: () => Promise.reject(new Error('not here')),
  retry: () => Promise.reject(new Error('not here')),
  setLimit: () => undefined,
  setPriority: () => undefined,
}

function make() {
  const abandoned: Download[] = []
  const interest = new Interest((download) => abandoned.push(download))
  const download = new Download(recordOf(1), nobody)
  return { interest, download, abandoned }
}

describe('Interest', () => {
  it('ends with the only caller', () => {
    const { interest, download, abandoned } = make()
    const caller = new AbortController()
    interest.add(download, caller.signal)
    expect(abandoned).toEqual([])
    caller.abort()
    expect(abandoned).toEqual([download])
  })

  it('ends with the last of several callers', () => {
    const { interest, download, abandoned } = make()
    const callers = [new AbortController(), new AbortController()]
    for (const { signal } of callers) interest.add(download, signal)
    callers[0]?.abort()
    expect(abandoned).toEqual([])
    callers[1]?.abort()
    expect(abandoned).toEqual([download])
  })

  it('never ends while a caller without a signal is there', () => {
    const { interest, download, abandoned } = make()
    const caller = new AbortController()
    interest.add(download, undefined)
    interest.add(download, caller.signal)
    caller.abort()
    expect(abandoned).toEqual([])
  })

  it('counts each call, also with one signal', () => {
    const { interest, download, abandoned } = make()
    const caller = new AbortController()
    interest.add(download, caller.signal)
    interest.add(download, caller.signal)
    caller.abort()
    expect(abandoned).toEqual([download])
  })

  it('sees a signal that was aborted before it came', () => {
    const { interest, download, abandoned } = make()
    interest.add(download, AbortSignal.abort())
    expect(abandoned).toEqual([download])
  })

  it('does not bother about a settled download, and lets go of its signal', async () => {
    const { interest, download, abandoned } = make()
    const caller = new AbortController()
    const [added, removed] = [
      vi.spyOn(caller.signal, 'addEventListener'),
      vi.spyOn(caller.signal, 'removeEventListener'),
    ]
    interest.add(download, caller.signal)
    download.move('failed', { error: new DownloadError('HTTP_ERROR', 'No.').toJSON() })
    await download.finished.catch(() => undefined)
    expect(removed.mock.calls).toEqual(added.mock.calls)
    expect(removed).toHaveBeenCalledOnce()
    caller.abort()
    expect(abandoned).toEqual([])
  })

  it('is not that of before when the download is requested again at once', async () => {
    const { interest, download, abandoned } = make()
    const caller = new AbortController()
    interest.add(download, caller.signal)
    const ended = download.finished.catch(() => undefined)
    download.move('failed', { error: new DownloadError('HTTP_ERROR', 'No.').toJSON() })
    download.move('queued')
    caller.abort()
    expect(abandoned).toEqual([])
    await ended
  })

  it('begins anew when a settled download is asked for again', async () => {
    const { interest, download, abandoned } = make()
    const before = new AbortController()
    interest.add(download, undefined)
    interest.add(download, before.signal)
    download.move('failed', { error: new DownloadError('HTTP_ERROR', 'No.').toJSON() })
    await download.finished.catch(() => undefined)
    download.move('queued')
    const after = new AbortController()
    interest.add(download, after.signal)
    before.abort()
    expect(abandoned).toEqual([])
    after.abort()
    expect(abandoned).toEqual([download])
  })
})
