/** Downloads `model.safetensors` of `bench/xet` with the hub's own client, over Xet: `--hub URL --dir DIR`. */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { downloadFile } from '@huggingface/hub'

const { values } = parseArgs({ options: { hub: { type: 'string' }, dir: { type: 'string' } } })
const name = 'model.safetensors'
const blob = await downloadFile({ repo: 'bench/xet', path: name, hubUrl: values.hub })
await pipeline(Readable.fromWeb(blob.stream()), createWriteStream(join(values.dir, name)))
