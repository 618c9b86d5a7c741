/** Runs before each test file, also where several share a process and what they import. */
import { afterAll } from 'vitest'
import { removeTemp } from './temp.js'

afterAll(removeTemp)
