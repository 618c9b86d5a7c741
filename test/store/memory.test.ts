import { createMemoryStore } from '../../src/store/memory.js'
import { describeStore } from './conformance.js'

describeStore('the memory store', { open: createMemoryStore })
