/** The store that stands for S3, the official client, s3rver, and the source: each agrees with the others. */
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import S3rver from 's3rver'
import { describe, expect, it } from 'vitest'
import { s3 } from '../../src/sources/storage/s3.js'
import { randomContent } from '../support/content.js'
import { s3Keys, startS3 } from '../support/s3-server.js'
import { tempDir } from '../support/temp.js'
import { resolveWith } from './api-server.js'

function clientOf(
  endpoint: string,
  region = 'us-east-1',
  keys = ['AKIATEST', 'secret/with+signs'],
): S3Client {
  const [accessKeyId = '', secretAccessKey = ''] = keys
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  })
}

const odd = "models/a b+c/(ü)'!*~$&=,;:@/weights 100%.bin"

describe('the official client', () => {
  it('agrees with the store, about signatures, ranges, checksums, lists and errors', async () => {
    await using store = await startS3({ pageSize: 2 })
    const content = randomContent(70_000, 's3')
    store.add('bucket', { [odd]: content, 'models/b.txt': 'b', 'models/c.txt': 'c' })
    const client = clientOf(store.url)
    const got = await client.send(new GetObjectCommand({ Bucket: 'bucket', Key: odd }))
    const body = Buffer.from((await got.Body?.transformToByteArray()) ?? [])
    expect(body.equals(content.slice(0, content.size))).toBe(true)
    const part = await client.send(new GetObjectCommand({ Bucket: 'bucket', Key: odd, Range: 'bytes=10-19' }))
    expect(part.ContentRange).toBe('bytes 10-19/70000')
    const head = await client.send(
      new HeadObjectCommand({ Bucket: 'bucket', Key: odd, ChecksumMode: 'ENABLED' }),
    )
    expect(Buffer.from(head.ChecksumSHA256 ?? '', 'base64').toString('hex')).toBe(content.sha256())
    const first = await client.send(new ListObjectsV2Command({ Bucket: 'bucket', Prefix: 'models/' }))
    expect(first.Contents?.map(({ Key }) => Key)).toEqual([odd, 'models/b.txt'])
    const ContinuationToken = first.NextContinuationToken
    const next = await client.send(
      new ListObjectsV2Command({ Bucket: 'bucket', Prefix: 'models/', ContinuationToken }),
    )
    expect(next).toMatchObject({ IsTruncated: false, Contents: [{ Key: 'models/c.txt', Size: 1 }] })
    await client.send(
      new PutObjectCommand({ Bucket: 'bucket', Key: 'put.txt', Body: 'put', ChecksumAlgorithm: 'SHA256' }),
    )
    expect(await resolveWith(s3(), 's3://bucket/put.txt', store.env)).toMatchObject([{ size: 3 }])
    const absent = client.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'none' }))
    await expect(absent).rejects.toMatchObject({ name: 'NoSuchKey' })
    const wrong = clientOf(store.url, 'us-east-1', ['AKIATEST', 'wrong'])
    const refused = wrong.send(new GetObjectCommand({ Bucket: 'bucket', Key: odd }))
    await expect(refused).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' })
  })
})

describe('the source', () => {
  it('is served by s3rver what the official client has put there', async () => {
    const server = new S3rver({
      port: 0,
      address: '127.0.0.1',
      silent: true,
      directory: tempDir('s3rver'),
      configureBuckets: [{ name: 'bucket', configs: [] }],
    })
    const { port } = await server.run()
    try {
      const url = `http://127.0.0.1:${port}`
      const client = clientOf(url, 'us-east-1', ['S3RVER', 'S3RVER'])
      const content = randomContent(50_000, 's3rver').slice(0, 50_000)
      for (const Key of ['models/one.bin', 'models/sub/two words.bin']) {
        await client.send(new PutObjectCommand({ Bucket: 'bucket', Key, Body: content }))
      }
      const env = {
        ...s3Keys,
        AWS_ACCESS_KEY_ID: 'S3RVER',
        AWS_SECRET_ACCESS_KEY: 'S3RVER',
        AWS_ENDPOINT_URL: url,
      }
      const files = await resolveWith(s3(), 's3://bucket/models/', { ...env, AWS_REGION: 'us-east-1' })
      expect(files.map(({ filename, size }) => [filename, size])).toEqual([
        ['one.bin', 50_000],
        ['sub/two words.bin', 50_000],
      ])
      const [one] = await resolveWith(s3(), 's3://bucket/models/sub/two words.bin', {
        ...env,
        AWS_REGION: 'us-east-1',
      })
      const response = await fetch(one?.urls[0] ?? '', { headers: { range: 'bytes=100-' } })
      expect(response.status).toBe(206)
      expect(Buffer.from(await response.arrayBuffer()).equals(content.subarray(100))).toBe(true)
    } finally {
      await server.close()
    }
  })
})
