import { describe, expect, it } from 'vitest'
import { fsError } from '../../../src/disk/errors.js'
import { isDownloadError } from '../../../src/errors.js'
import { networkError } from '../../../src/net/errors.js'
import { oldestVersions, requireRuntime, runtime, runtimeOf } from '../../../src/util/runtime.js'
import fc from '../../support/properties.js'

const imitated = '26.3.0'

describe('a runtime', () => {
  it.each([
    [
      'Node',
      { node: '20.19.0' },
      { sharesDescriptors: true, readsIntoBuffers: true, pausesReads: true, hasArchives: false },
    ],
    // Both say that they are a version of Node as well.
    [
      'Bun',
      { node: imitated, bun: '1.4.0' },
      { sharesDescriptors: true, readsIntoBuffers: false, pausesReads: false, hasArchives: false },
    ],
    [
      'Deno',
      { node: imitated, deno: '2.9.6' },
      { sharesDescriptors: false, readsIntoBuffers: true, pausesReads: false, hasArchives: false },
    ],
    [
      'Electron',
      { node: '22.14.0', electron: '35.0.0' },
      { sharesDescriptors: true, readsIntoBuffers: true, pausesReads: true, hasArchives: true },
    ],
  ])('is known by its versions: %s', (name, versions, abilities) => {
    expect(runtimeOf({ versions })).toMatchObject({ name, refusal: null, ...abilities })
  })

  it.each([
    [{ versions: { node: '20.18.3' } }, 'needs Node 20.19.0 or newer, and this is Node 20.18.3'],
    [{ versions: { node: '18.20.8' } }, 'this is Node 18.20.8'],
    [{ versions: { node: imitated, bun: '1.3.14' } }, 'needs Bun 1.4.0 or newer, and this is Bun 1.3.14'],
    [{ versions: { node: imitated, deno: '2.7.14' } }, 'needs Deno 2.8.0 or newer, and this is Deno 2.7.14'],
    [
      { versions: { node: '20.18.0', electron: '33.0.0' } },
      'needs Node 20.19.0 or newer, and this is Electron 33.0.0 with Node 20.18.0',
    ],
    [{ versions: { node: '22.19.0' }, userAgent: 'Cloudflare-Workers' }, 'an edge runtime'],
    [{ versions: { node: '22.19.0' }, isEdge: true }, 'an edge runtime'],
    [{ versions: {}, userAgent: 'Mozilla/5.0' }, 'an unknown runtime'],
    [{ versions: {} }, 'an unknown runtime'],
  ])("that can't work is refused: %j", (facts, text) => {
    const found = runtimeOf(facts)
    expect(found.refusal).toContain(text)
    let thrown: unknown
    try {
      requireRuntime(found)
    } catch (error) {
      thrown = error
    }
    expect(isDownloadError(thrown, 'UNSUPPORTED_RUNTIME')).toBe(true)
  })

  it('is refused exactly when it is older, by numbers and not by letters', () => {
    const [major, minor] = oldestVersions.Node.split('.').map(Number) as [number, number]
    const suffixes = fc.constantFrom('', '-nightly20260101', '+build')
    fc.assert(
      fc.property(fc.nat(99), fc.nat(99), fc.nat(99), suffixes, (a, b, c, suffix) => {
        const { refusal } = runtimeOf({ versions: { node: `${a}.${b}.${c}${suffix}` } })
        expect(refusal !== null).toBe(a < major || (a === major && b < minor))
      }),
    )
  })

  it('keeps a stream alive before its server ends it', () => {
    // Of `Bun.serve`, and of proxies in front of anything else.
    expect(runtimeOf({ versions: { node: imitated, bun: '1.4.0' } }).aliveMs).toBeLessThan(10_000)
    expect(runtimeOf({ versions: { node: '20.19.0' } }).aliveMs).toBe(15_000)
  })

  it('is the one of these tests', () => {
    expect(runtime).toEqual(runtimeOf({ versions: process.versions }))
    expect(() => requireRuntime(runtime)).not.toThrow()
  })
})

describe('what Deno does not permit', () => {
  const denied = (message: string) => Object.assign(new Error(message), { name: 'NotCapable' })

  it.each([
    ['Requires write access to "/home/me/models", run again with the --allow-write flag', '--allow-write'],
    ['Requires net access to "example.com:443", run again with the --allow-net flag', '--allow-net'],
    ['Requires all access to "/proc/1/stat", run again with the --allow-all flag', '--allow-all'],
    ['Something else', '--allow-all'],
  ])('is told with the flag that permits it, and without a path: %s', (message, flag) => {
    for (const error of [fsError(denied(message), 'writing'), networkError(denied(message), 'connect')]) {
      expect(error).toMatchObject({ code: 'PERMISSION', retryable: false })
      expect(error.message).toContain(`start it with ${flag}.`)
      expect(error.message).not.toContain('/')
    }
  })
})
