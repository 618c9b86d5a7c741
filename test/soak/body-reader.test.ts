import { expect, it } from 'vitest'
import { compareReaders, oddScript } from '../support/body-readers.js'
import fc from '../support/properties.js'
import { startScriptedServer } from '../support/scripted-server.js'
import { soakSeed } from './rounds.js'

/** In minutes. */
const duration = Number(process.env['SOAK_MINUTES'] ?? 10)

it(
  `reads ${duration} minutes of odd responses as the standard reader does`,
  { timeout: duration * 120_000 },
  async () => {
    await using server = await startScriptedServer()
    let cases = 0
    await fc.assert(
      fc.asyncProperty(oddScript, async (script) => {
        cases += 1
        const { fast, standard } = await compareReaders(server, script)
        expect(fast).toEqual(standard)
      }),
      {
        seed: soakSeed(),
        numRuns: Number.MAX_SAFE_INTEGER,
        interruptAfterTimeLimit: duration * 60_000,
        markInterruptAsFailure: false,
      },
    )
    console.log(`${cases} responses, none of which was read differently`)
  },
)
