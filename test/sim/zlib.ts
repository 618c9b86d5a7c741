/**
 * `node:zlib` without its threads, whose turn would come at a real time and not at the same one in each run. Streams decode
 * everything at once when their input ends.
 */
import { Transform } from 'node:stream'
import zlib from 'node:zlib'

type Decode = (bytes: Buffer, options?: object) => Buffer
type Done = (error: Error | null, result?: Buffer) => void

function stream(decode: Decode): Transform {
  const chunks: Buffer[] = []
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      chunks.push(chunk)
      done()
    },
    flush(done) {
      try {
        this.push(decode(Buffer.concat(chunks)))
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

function inTurn(decode: Decode) {
  return (bytes: Buffer, options: object, done: Done) => {
    process.nextTick(() => {
      let result: Buffer
      try {
        result = decode(bytes, options)
      } catch (error) {
        done(error as Error)
        return
      }
      done(null, result)
    })
  }
}

const { gunzipSync, inflateSync, inflateRawSync, brotliDecompressSync } = zlib

/** Only what the package uses; without zstd, as in older versions of Node. */
export const simulatedZlib = {
  constants: zlib.constants,
  createGunzip: () => stream(gunzipSync),
  createInflate: () => stream(inflateSync),
  createInflateRaw: () => stream(inflateRawSync),
  createBrotliDecompress: () => stream(brotliDecompressSync),
  gunzip: inTurn(gunzipSync),
  inflate: inTurn(inflateSync),
  inflateRaw: inTurn(inflateRawSync),
  brotliDecompress: inTurn(brotliDecompressSync),
}
