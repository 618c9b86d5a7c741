/** Runs before each test file, even when several files share a process and its modules. */
import { afterAll } from 'vitest'
import { removeTemp } from './temp.js'

afterAll(removeTemp)
