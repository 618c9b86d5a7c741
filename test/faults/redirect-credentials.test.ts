/** FAULTS.md row 44: credentials stay with the origin that they were given for. */
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { arrives, expectInvariant, KiB, startBench } from './harness.js'

const content = randomContent(1_500_000)

const secrets = {
  Authorization: 'Bearer secret-token',
  Cookie: 'session=secret-cookie',
  'X-Api-Key': 'secret-key',
  'x-anything': 'secret-anything',
}

/** Everything that an origin was sent, as one text. */
const heard = (origin: Origin) =>
  JSON.stringify(origin.requests().map(({ target, headers }) => ({ target, headers })))

function expectNoSecrets(origin: Origin): void {
  expect(origin.requests().length).toBeGreaterThan(0)
  expect(heard(origin)).not.toMatch(/secret/i)
  for (const { headers } of origin.requests()) {
    expect(Object.keys(headers)).not.toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^(?:authorization|cookie|x-api-key|x-anything|referer)$/),
      ]),
    )
  }
}

function expectAllSecrets(origin: Origin): void {
  expect(origin.requests().length).toBeGreaterThan(0)
  for (const { headers } of origin.requests()) {
    expect(headers).toMatchObject({
      authorization: secrets.Authorization,
      cookie: secrets.Cookie,
      'x-api-key': secrets['X-Api-Key'],
      'x-anything': secrets['x-anything'],
    })
  }
}

describe('row 44: a redirect to another origin', () => {
  it.each([301, 302, 303, 307, 308])(
    'row 44: %i to another port: none of the headers go along',
    async (status) => {
      await using bench = await startBench()
      await using elsewhere = await startOrigin()
      const { origin, manager, directory } = bench
      elsewhere.serve('/there.bin', { content })
      origin.serve('/model.bin', { redirect: elsewhere.url('/there.bin'), redirectStatus: status })
      await arrives(await manager.download({ url: origin.url('/model.bin'), headers: secrets }))
      expectAllSecrets(origin)
      expectNoSecrets(elsewhere)
      await expectInvariant(directory, 'model.bin', 'done', { content })
    },
  )

  it('row 44: no segment, no retry and no new look at the first address sends them there', async () => {
    await using bench = await startBench({ tuning: { minSegmentBytes: 64 * KiB } })
    await using elsewhere = await startOrigin()
    const { origin, manager, directory } = bench
    elsewhere.serve('/there.bin', {
      content,
      bytesPerSecond: 800_000,
      faults: [
        { type: 'reset', afterBytes: 70_000, after: 2, times: 3 },
        { type: 'status', status: 403, after: 8, times: 1 },
      ],
    })
    origin.serve('/model.bin', { redirect: elsewhere.url('/there.bin') })
    const download = await manager.download({ url: origin.url('/model.bin'), headers: secrets })
    await arrives(download)
    expect(elsewhere.requests().length, 'segments and retries').toBeGreaterThan(4)
    expectAllSecrets(origin)
    expectNoSecrets(elsewhere)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 44: another scheme or host name is another origin too, also on the same machine', async () => {
    await using bench = await startBench()
    const { origin, manager, directory } = bench
    origin.serve('/there.bin', { content })
    origin.serve('/model.bin', { redirect: `http://localhost:${origin.port}/there.bin` })
    await arrives(await manager.download({ url: origin.url('/model.bin'), headers: secrets }))
    const [first, ...others] = origin.requests()
    expect(first?.headers['authorization']).toBe(secrets.Authorization)
    expect(others.length).toBeGreaterThan(0)
    expect(JSON.stringify(others.map(({ headers }) => headers))).not.toContain('secret')
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 44: what was dropped on the way out is not there again on the way back', async () => {
    await using bench = await startBench()
    await using elsewhere = await startOrigin()
    const { origin, manager, directory } = bench
    origin.serve('/back.bin', { content })
    elsewhere.serve('/between.bin', { redirect: origin.url('/back.bin') })
    origin.serve('/model.bin', { redirect: elsewhere.url('/between.bin') })
    await arrives(await manager.download({ url: origin.url('/model.bin'), headers: secrets }))
    expectNoSecrets(elsewhere)
    const back = origin.requests('/back.bin')
    expect(back.length).toBeGreaterThan(0)
    expect(JSON.stringify(back.map(({ headers }) => headers))).not.toContain('secret')
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 44: user and password of the first URL stay behind; the next origin sees neither them nor a Referer', async () => {
    await using bench = await startBench()
    await using elsewhere = await startOrigin()
    const { origin, manager, directory } = bench
    elsewhere.serve('/there.bin', { content })
    const basic = `Basic ${Buffer.from('user:secret').toString('base64')}`
    origin.serve('/model.bin', { redirect: elsewhere.url('/there.bin'), auth: basic })
    const url = origin.url('/model.bin?signature=secret').replace('//', '//user:secret@')
    await arrives(await manager.download({ url, filename: 'model.bin' }))
    expectNoSecrets(elsewhere)
    expect(heard(elsewhere)).not.toContain(basic)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 44: within the same origin they go along', async () => {
    await using bench = await startBench()
    const { origin, manager, directory } = bench
    origin.serve('/there.bin', { content, auth: secrets.Authorization })
    origin.serve('/model.bin', { redirect: '/there.bin' })
    await arrives(await manager.download({ url: origin.url('/model.bin'), headers: secrets }))
    expectAllSecrets(origin)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })
})
