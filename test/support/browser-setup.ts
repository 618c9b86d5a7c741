/** Runs before each test file that needs a browser, also where several share a process and what they import. */
import { afterEach } from 'vitest'
import { closePages } from './browser.js'

afterEach(closePages)
