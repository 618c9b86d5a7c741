import { describe, expect, it } from 'vitest'
import { maxBoundedBytes, RequestForms } from '../../../src/engine/fetch/request-form.js'
import fc from '../../support/properties.js'

const fresh = { midWay: false, sized: false }
const midWay = { midWay: true, sized: false }

/** What is known about a server. */
const known = ({ next, bounded, refusesRanges, servesPlainOnly }: RequestForms) => ({
  next,
  bounded,
  refusesRanges,
  servesPlainOnly,
})

/** The forms that are tried while every one is refused with this status. */
function triedAfter(status: number, situation = fresh, first: 'range' | 'plain' = 'range'): string[] {
  const forms = new RequestForms(first)
  const tried: string[] = [forms.next]
  for (let form = forms.afterRefusal(status, situation); form !== null;) {
    tried.push(form)
    expect(forms.next).toBe(form)
    form = forms.afterRefusal(status, situation)
  }
  return tried
}

describe('a status that repeating the request does not change', () => {
  it.each([
    [403, ['range', 'plain']],
    [404, ['range', 'plain']],
    [400, ['range', 'plain', 'bounded']],
    [406, ['range', 'plain', 'bounded']],
    [416, ['range', 'plain', 'bounded']],
    [501, ['range', 'plain', 'bounded']],
    [401, ['range']],
    [402, ['range']],
    [405, ['range', 'plain', 'bounded']],
    [407, ['range']],
    [410, ['range']],
    [451, ['range']],
    [204, ['range']],
    [304, ['range']],
    [0, ['range']],
  ])('%d at first: %j', (status, forms) => {
    expect(triedAfter(status)).toEqual(forms)
  })

  it('with a known size: a bounded range comes before the complete file', () => {
    expect(triedAfter(400, { midWay: false, sized: true })).toEqual(['range', 'bounded', 'plain'])
    expect(triedAfter(404, { midWay: false, sized: true })).toEqual(['range', 'plain'])
  })

  it('mid-way: ranges are bounded anyway', () => {
    expect(triedAfter(400, midWay)).toEqual(['range', 'plain'])
  })

  it('of a first request without a range: only a bounded one is left', () => {
    expect(triedAfter(400, fresh, 'plain')).toEqual(['plain', 'bounded'])
    expect(triedAfter(404, fresh, 'plain')).toEqual(['plain'])
  })

  it('ends for any status', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999 }), fc.boolean(), fc.boolean(), (status, mid, sized) => {
        const tried = triedAfter(status, { midWay: mid, sized })
        expect(new Set(tried).size).toBe(tried.length)
      }),
    )
  })
})

describe('a failure that may pass', () => {
  /** The forms of the attempts, if each one fails. */
  function attempts(maxAttempts: number, mid: boolean): string {
    const forms = new RequestForms('range')
    const used = [forms.next]
    for (let failures = 1; failures < maxAttempts; failures += 1) {
      forms.afterFailure(failures, maxAttempts, mid)
      used.push(forms.next)
    }
    return used.map((form) => form[0]).join('')
  }

  it.each([
    [1, false, 'r'],
    [2, false, 'rp'],
    [4, false, 'rrpr'],
    [8, false, 'rrprprpr'],
    [8, true, 'rrrrrrrp'],
    [2, true, 'rp'],
    [1, true, 'r'],
  ])('%d attempts, mid-way %s: %s', (maxAttempts, mid, used) => {
    expect(attempts(maxAttempts, mid)).toBe(used)
  })
})

describe('what a server accepts', () => {
  it('is not known at first, and is any range once a range was accepted', () => {
    const forms = new RequestForms('range')
    const nothing = { next: 'range', bounded: false, refusesRanges: false, servesPlainOnly: false }
    expect(known(forms)).toMatchObject(nothing)
    forms.noteFirst()
    expect(known(forms)).toMatchObject(nothing)
  })

  it('is no range once an attempt without one was made, which is then not repeated', () => {
    const forms = new RequestForms('range')
    forms.afterFailure(1, 8, false)
    expect(known(forms)).toMatchObject({ next: 'range', refusesRanges: false })
    forms.afterFailure(2, 8, false)
    expect(known(forms)).toMatchObject({ next: 'plain', refusesRanges: true })
    expect(forms.afterRefusal(404, fresh)).toBeNull()
    forms.afterFailure(3, 8, false)
    expect(forms.next).toBe('range')
    forms.afterFailure(7, 8, false)
    expect(forms.next).toBe('range')
  })

  it('is a bounded range, also after a failure that may pass, until that was tried without a range', () => {
    const forms = new RequestForms('range')
    expect(forms.afterRefusal(400, { midWay: false, sized: true })).toBe('bounded')
    forms.afterFailure(1, 8, false)
    expect(forms.next).toBe('bounded')
    forms.afterFailure(2, 8, false)
    expect(forms.next).toBe('plain')
    expect(maxBoundedBytes).toBe(64 * 2 ** 20)
  })

  it('416 to a request without a range is no refusal of ranges', () => {
    expect(new RequestForms('plain').isRefusal(416)).toBe(false)
  })

  it('a first response ends the search', () => {
    const forms = new RequestForms('range')
    forms.afterRefusal(400, { midWay: false, sized: true })
    forms.noteFirst()
    expect(known(forms)).toMatchObject({ next: 'range', bounded: true, refusesRanges: true })
  })

  it('the complete file mid-way is followed by one more range', () => {
    const forms = new RequestForms('range')
    expect(forms.afterRefusal(403, midWay)).toBe('plain')
    forms.notePlain()
    expect(known(forms)).toMatchObject({ next: 'range', servesPlainOnly: true, bounded: false })
  })

  it('416 is a refusal as long as the complete file has not been requested', () => {
    const forms = new RequestForms('range')
    expect(forms.isRefusal(416)).toBe(true)
    expect(forms.isRefusal(503)).toBe(false)
    expect(forms.isRefusal(undefined)).toBe(false)
    forms.afterRefusal(416, midWay)
    expect(forms.isRefusal(416)).toBe(false)
    expect(forms.afterRefusal(416, midWay)).toBeNull()
    expect(forms.isRefusal(416)).toBe(false)
    forms.afterFailure(1, 8, true)
    expect(forms.next).toBe('range')
    expect(forms.isRefusal(416)).toBe(false)
  })
})
