import { describe, expect, it } from 'vitest'
import type { WireDownload } from '../../../src/client/index.js'
import { chartOf, type Sample, type SpeedHistory, withSpeeds } from '../../../src/elements/details/history.js'
import { usagesOf } from '../../../src/elements/details/usage.js'
import fc from '../../support/properties.js'
import { downloadOf } from './wire.js'

describe('the speeds of a download', () => {
  const at = (seconds: number, bytesPerSecond: number): Sample => ({ at: seconds * 1000, bytesPerSecond })
  const running = (speed: number) => downloadOf('a', { state: 'downloading', bytes_per_second: speed })

  it('are noted once a second while it runs, and forgotten with it', () => {
    let history: SpeedHistory = new Map()
    for (const [now, speed] of [
      [0, 10],
      [500, 20],
      [1000, 30],
    ] as const)
      history = withSpeeds(history, [running(speed)], now)
    expect(history.get('a')).toEqual([at(0, 10), at(1, 30)])
    history = withSpeeds(history, [downloadOf('a', { state: 'completed' })], 5000)
    expect(history.get('a')).toHaveLength(2)
    expect(withSpeeds(history, [], 6000).size).toBe(0)
    for (let second = 6; second < 1000; second++)
      history = withSpeeds(history, [running(second)], second * 1000)
    expect(history.get('a')).toHaveLength(600)
  })

  it('make a chart that stays in its frame', () => {
    expect(chartOf([])).toBeNull()
    expect(chartOf([at(0, 5)])).toBeNull()
    expect(chartOf([at(0, 0), at(1, 50), at(4, 100)])).toEqual({
      points: [
        [0, 1],
        [0.25, 0.5],
        [1, 0],
      ],
      ...{ now: 100, average: 50, peak: 100 },
    })
    expect(chartOf([at(0, 0), at(1, 0)])?.points).toEqual([
      [0, 1],
      [1, 1],
    ])
    fc.assert(
      fc.property(fc.array(fc.nat(1e9), { minLength: 2 }), (speeds) => {
        for (const point of chartOf(speeds.map((speed, index) => at(index, speed)))?.points ?? [])
          for (const value of point) {
            expect(value).toBeGreaterThanOrEqual(0)
            expect(value).toBeLessThanOrEqual(1)
          }
      }),
    )
  })
})

describe('how a model is loaded', () => {
  const group = (...names: string[]) => ({
    filename: 'model',
    files: names.map((filename) => ({
      ...{
        filename,
        size: 1,
        downloaded: 1,
        state: 'completed' as const,
        sha256: null,
        verified: true,
        verification: null,
      },
      ...{ error: null, code: null },
    })),
  })
  it.each<[Partial<WireDownload>, string, string[]]>([
    [{ filename: 'a.gguf' }, '/srv/a.gguf', ['llama-server -m /srv/a.gguf']],
    [{ filename: 'a.gguf', mode: 'embed' }, '/srv/a.gguf', ['llama-server -m /srv/a.gguf --embedding']],
    [{ filename: 'a.gguf', mode: 'rerank' }, '/srv/a.gguf', ['llama-server -m /srv/a.gguf --reranking']],
    [{ filename: 'a.gguf' }, "/srv/it's $x/a.gguf", ["llama-server -m '/srv/it'\\''s $x/a.gguf'"]],
    [{ filename: 'A.GGUF' }, 'C:\\models\\A.GGUF', ['llama-server -m "C:\\models\\A.GGUF"']],
    [{ filename: 'a.safetensors' }, '/a.safetensors', ['safetensors.torch.load_file("/a.safetensors")']],
    [{ filename: 'a.onnx' }, '/a.onnx', ['onnxruntime.InferenceSession("/a.onnx")']],
    [{ filename: 'a.bin' }, '/a.bin', []],
    [
      group('config.json', 'model.safetensors'),
      '/srv/model',
      ['AutoModelForCausalLM.from_pretrained("/srv/model")'],
    ],
    [group('config.json', 'modules.json'), '/srv/model', ['SentenceTransformer("/srv/model")']],
    [
      { ...group('config.json', 'a.safetensors'), mode: 'embed' },
      'C:\\m',
      ['SentenceTransformer("C:\\\\m")'],
    ],
    [
      group('Q4/m-00002-of-00002.gguf', 'Q4/m-00001-of-00002.gguf'),
      '/srv/model',
      ['llama-server -m /srv/model/Q4/m-00001-of-00002.gguf'],
    ],
    [group('Q4/m.gguf'), 'C:\\model', ['llama-server -m "C:\\model\\Q4\\m.gguf"']],
    [group('a.bin'), '/srv/model', []],
  ])('%j at %s', (of, path, lines) => {
    expect(usagesOf(downloadOf('u', of), path).map(({ line }) => line)).toEqual(lines)
  })
})
