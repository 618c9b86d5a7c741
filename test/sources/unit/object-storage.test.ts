import { describe, expect, it } from 'vitest'
import { parseProfiles, profileOf } from '../../../src/sources/storage/aws-config.js'
import { hexOf, s3Digests } from '../../../src/sources/storage/digests.js'
import { escapeKey, folderOf, nameOfKey, pathInPrefix } from '../../../src/sources/storage/object-ref.js'
import { parseS3Ref } from '../../../src/sources/storage/s3.js'
import { attributeIn, elementsIn, textIn } from '../../../src/sources/storage/xml.js'
import fc from '../../support/properties.js'

describe('an S3 ref', () => {
  it.each([
    ['s3://bucket', { bucket: 'bucket', key: '', version: null }],
    ['s3://bucket/', { bucket: 'bucket', key: '', version: null }],
    ['S3://my.bucket/models/', { bucket: 'my.bucket', key: 'models/', version: null }],
    ['s3://bucket/a b+c/100%.gguf', { bucket: 'bucket', key: 'a b+c/100%.gguf', version: null }],
    ['s3://bucket/a//b.bin', { bucket: 'bucket', key: 'a//b.bin', version: null }],
    ['s3://bucket/a@main/b#1', { bucket: 'bucket', key: 'a@main/b#1', version: null }],
    ['s3://bucket/a?versionId=3HL4k.q_-', { bucket: 'bucket', key: 'a', version: '3HL4k.q_-' }],
  ])('%s is understood', (ref, parsed) => {
    expect(parseS3Ref(ref)).toEqual(parsed)
  })

  it.each([
    's3://',
    's3:///key',
    's3://a/key',
    's3://bu cket/key',
    's3://bucket:80/key',
    's3://me@bucket/key',
    's3://-bucket/key',
    's3://bucket/../key',
    's3://bucket/a/./b',
    's3://bucket/a\u0000b',
    `s3://bucket/${'a'.repeat(1_025)}`,
    's3://bucket/a?region=x',
    's3://bucket/a?versionId=',
    's3://bucket/a?versionId=1&x=2',
    's3://bucket/models/?versionId=1',
    's3://bucket/\ud800',
  ])('%s is refused', (ref) => {
    expect(() => parseS3Ref(ref)).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
  })

  it('names a file or a folder', () => {
    expect(nameOfKey('a/b.gguf')).toBe('b.gguf')
    expect(nameOfKey('a/')).toBeNull()
    expect(folderOf({ bucket: 'bucket', key: 'a/b/' })).toBe('b')
    expect(folderOf({ bucket: 'bucket', key: '' })).toBe('bucket')
  })

  it('is escaped so that a URL keeps every key as it is', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .filter((text) => !/^\.{1,2}$|\//.test(text))
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const key = segments.join('/')
        const { pathname } = new URL(`https://host/bucket/${escapeKey(key)}`)
        expect(decodeURIComponent(pathname)).toBe(`/bucket/${key}`)
        expect(pathname).toMatch(/^[A-Za-z0-9%/._~-]+$/)
      }),
      { numRuns: 100 },
    )
  })
})

describe('an object below a prefix', () => {
  it.each([
    ['a/', { key: 'a/b/c', size: 1 }, 'b/c'],
    ['', { key: 'a', size: 0 }, 'a'],
    ['a/', { key: 'a/', size: 0 }, null],
    ['a/', { key: 'a/sub/', size: 0 }, null],
    ['a/', { key: 'b/c', size: 1 }, null],
  ])('of %s: %j is %s', (prefix, object, path) => {
    expect(pathInPrefix(prefix, object)).toBe(path)
  })

  it.each(['a//b', 'a/../b', 'a/./b'])('%s has no path', (key) => {
    expect(() => pathInPrefix('a/', { key, size: 1 })).toThrow(/exclude/)
  })
})

describe('a file of profiles', () => {
  const credentials = `
    # comment
[default]
aws_access_key_id = AKIA1
aws_secret_access_key=one=two
[ tools ]
aws_access_key_id=AKIA2
aws_secret_access_key=secret # a note
aws_session_token=token==
`
  const config = `[default]\r
region = eu-west-1\r
s3 =\r
    addressing_style = path\r
    max_concurrent_requests = 20\r
[profile tools]
services = local
[services local]
s3 =
  endpoint_url = http://localhost:9000
dynamodb =
  endpoint_url = http://localhost:8000
[profile sso]
sso_session = me
[profile half]
aws_access_key_id = AKIA3
`
  it('gives credentials and settings of a profile', () => {
    expect(profileOf('default', { credentials, config })).toEqual({
      credentials: { accessKeyId: 'AKIA1', secretAccessKey: 'one=two' },
      region: 'eu-west-1',
      endpoint: null,
      addressingStyle: 'path',
      elsewhere: null,
    })
    expect(profileOf('tools', { credentials, config })).toMatchObject({
      credentials: { accessKeyId: 'AKIA2', secretAccessKey: 'secret', sessionToken: 'token==' },
      endpoint: 'http://localhost:9000',
    })
  })

  it('says how else a profile gets its credentials, and that there is no such profile', () => {
    expect(profileOf('sso', { credentials, config })).toMatchObject({
      credentials: null,
      elsewhere: 'sso_session',
    })
    expect(profileOf('half', { credentials, config })).toMatchObject({ credentials: null })
    expect(profileOf('none', { credentials, config })).toBeNull()
    expect(profileOf('local', { credentials: null, config: null })).toBeNull()
  })

  it('may hold anything', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(parseProfiles(text)).toBeInstanceOf(Map)
      }),
    )
  })
})

describe('the XML of stores', () => {
  const xml =
    '<?xml version="1.0"?><List ServiceEndpoint="https://a/?x&amp;y"><KeyCount>2</KeyCount><Key>a &amp; b&#x20AC;&#33;&unknown;</Key><Item><Key>1</Key></Item><Item/><Item a="b">2</Item></List>'

  it('is read element by element', () => {
    expect(textIn(xml, 'Key')).toBe('a & b€!&unknown;')
    expect(textIn(xml, 'Nothing')).toBeNull()
    expect(textIn(xml, 'List'), 'not a text').toBeNull()
    expect(textIn('<Key/>', 'Key')).toBe('')
    expect([...elementsIn(xml, 'Item')]).toEqual(['<Key>1</Key>', '2'])
    expect(attributeIn(xml, 'List', 'ServiceEndpoint')).toBe('https://a/?x&y')
    expect(attributeIn(xml, 'Item', 'none')).toBeNull()
  })

  it('may be cut anywhere', () => {
    for (let end = 0; end < xml.length; end += 1) {
      const text = xml.slice(0, end)
      expect([...elementsIn(text, 'Item')].length).toBeLessThanOrEqual(2)
      textIn(text, 'Key')
    }
  })

  it('takes linear time', () => {
    const hostile = '<Key'.repeat(100_000)
    expect(textIn(hostile, 'Key')).toBeNull()
    expect([...elementsIn(`${hostile}<Item>`, 'Item')]).toEqual([])
  })
})

describe('the checksums of an object', () => {
  const sha = Buffer.alloc(32, 7)

  it('are those of all of it', () => {
    const headers = {
      'x-amz-checksum-sha256': sha.toString('base64'),
      'x-amz-checksum-crc32c': 'yZRlqg==',
      'x-amz-checksum-sha1': 'not base64!',
    }
    expect(s3Digests(headers)).toEqual({
      sha256: sha.toString('hex'),
      digests: [{ algorithm: 'crc32c', value: 'c99465aa' }],
    })
    expect(s3Digests({ ...headers, 'x-amz-checksum-type': 'FULL_OBJECT' })).toHaveProperty('sha256')
  })

  it('are not those of its parts, nor anything else', () => {
    expect(s3Digests({ 'x-amz-checksum-sha256': `${sha.toString('base64')}-3` })).toEqual({})
    const composite = { 'x-amz-checksum-sha256': sha.toString('base64'), 'x-amz-checksum-type': 'COMPOSITE' }
    expect(s3Digests(composite)).toEqual({})
    expect(hexOf('sha256', sha.subarray(1).toString('base64'))).toBeNull()
    expect(hexOf('md5', undefined)).toBeNull()
  })
})
