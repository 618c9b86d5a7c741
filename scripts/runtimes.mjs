/** Installs the runtimes that `test/runtimes` starts: Bun, Deno, and every version of Node that is supported. */
import path from 'node:path'
import { installIn } from './install.mjs'

installIn(path.resolve(import.meta.dirname, '../test/runtimes'))
