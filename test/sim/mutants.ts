/** Bugs that are put back on purpose, to see that the simulator finds each of them. */
import type { Mutation } from './bundle.js'

/** By what is wrong with them. */
export const mutants: Readonly<Record<string, Mutation>> = {
  'a kept part is cut before it gets its length': {
    file: 'engine/part/extend.ts',
    find: "if (how === 'none') return { sized: false, filling: isWindows }",
    replace: `await io.ftruncate(fd, Math.min(total, 5_000))
  if (how === 'none') return { sized: false, filling: isWindows }`,
  },
  'a 200 is written where a range was requested': {
    file: 'engine/fetch/response-rules.ts',
    find: "if (expected.start > 0) return { kind: 'whole', sure: isSameFile(knownVersion(expected), identity) }",
    replace: '',
  },
  'the journal says that bytes are written before they are': {
    file: 'engine/part/part-file.ts',
    find: `    this.#noteWhole(buffer, position)
    try {
      await writeFully`,
    replace: `    this.#noteWhole(buffer, position)
    this.#noteWritten(position, length)
    try {
      await writeFully`,
  },
  'a file gets its name before it is synced': {
    file: 'engine/part/part-file.ts',
    find: '      if (!(await this.#datasync())) refusals.add(notSynced())\n',
    replace: '      notSynced()\n',
  },
  'after a power cut the journal is believed as after a kill': {
    file: 'engine/part/journal.ts',
    find: 'sameCache ? journal.written : journal.synced',
    replace: 'journal.written',
  },
  'a request is repeated without a look at the version': {
    file: 'engine/fetch/response-rules.ts',
    find: "if (compareIdentity(known, seen, expected.digestKnown) !== 'changed') return null",
    replace: 'return null',
  },
  'the digest is not compared': {
    file: 'engine/verify.ts',
    find: 'if (value === check.value) continue',
    replace: 'if (value !== "") continue',
  },
  'a listener that throws reaches the engine': {
    file: 'util/emitter.ts',
    find: 'return super.on(event, this.#guard(event, listener), context)',
    replace: 'return super.on(event, listener, context)',
  },
  'an accepted download is not stored': {
    file: 'manager/registry.ts',
    find: `  async insert(download: Download): Promise<boolean> {`,
    replace: `  async insert(download: Download): Promise<boolean> {
    if (download.url !== '') return true`,
  },
  'an accepted download is not synced': {
    file: 'store/file.ts',
    find: 'if (lazy || !changed) return',
    replace: 'if (lazy || changed) return',
  },
  'a journal that is not synced replaces one that is': {
    file: 'engine/part/journal-files.ts',
    find: 'await this.#live.write(encodeRecord(serial, text))',
    replace: 'await replaceFile(this.#paths.journal, text, { mode: 0o600 })',
  },
  'closing leaves connections open': {
    file: 'engine/engine.ts',
    find: `      await http.close()
      await hashes.close()`,
    replace: '      await hashes.close()',
  },
  'a redirect of a stranger may lead inside': {
    file: 'net/guard.ts',
    find: 'if (!addresses.every(({ address }) => accepts(address))) throw blocked()',
    replace: '',
  },
  'a busy server is not asked again': {
    file: 'errors.ts',
    find: 'return [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505)',
    replace: 'return false',
  },
  'a locked target is written all the same': {
    file: 'disk/lock-owner.ts',
    find: 'if (stat !== null && owner.startTime !== null) return stat.startTime === owner.startTime',
    replace: "if (stat !== null) return 'dead'",
  },
  'a failed sync is forgotten': {
    file: 'engine/part/data-sync.ts',
    find: '      this.#error = asDownloadError(error)\n      throw error',
    replace: '      return true',
  },
  'a cookie goes to every host of its chain': {
    file: 'net/cookies.ts',
    find: 'if (hostname !== domain && (hostOnly || !hostname.endsWith(`.${domain}`))) return false',
    replace: '',
  },
  'no attempt waits longer for a head than the first': {
    file: 'engine/fetch/connection-pool.ts',
    find: 'growingTimeout(this.#context.tuning.headersTimeoutMs, mirror.silences)',
    replace: 'this.#context.tuning.headersTimeoutMs',
  },
  'a body is taken as it comes, whatever coding it has': {
    file: 'engine/fetch/forced-coding.ts',
    find: 'connection.decode(codings)',
    replace: '',
  },
  'no fresh token is asked for': {
    file: 'job/ref.ts',
    find: 'if (this.#clock.now() - this.#unchangedAt < unchangedMs) return file',
    replace: "if (this.latest(file) === file || file.filename !== '') return file",
  },
  'a server may choose the name of a hidden file': {
    file: 'disk/names.ts',
    find: 'if (cleaned !== null) requireNoConfig(cleaned)',
    replace: '',
  },
  'a journal that cannot be closed leaves its part open': {
    file: 'engine/part/part-file.ts',
    find: 'await this.#journals.close().finally(() => io.close(this.fd))',
    replace: 'await this.#journals.close()\n    await io.close(this.fd)',
  },
  'a disk is believed that it has made a part longer': {
    file: 'engine/part/part-io.ts',
    find: 'return (await io.fstat(fd)).size === length',
    replace: 'return true',
  },
  'a part without its full length is truncated when two writes end at once': {
    file: 'engine/part/part-file.ts',
    find: `      const expected = this.#length()
      if (!this.#fits((await this.#stat()).size, expected)) this.#truncated = true`,
    replace: `      this.#truncated ||= !this.#fits((await this.#stat()).size, this.#length())`,
  },
}
