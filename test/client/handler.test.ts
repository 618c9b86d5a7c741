import {} from 'vitest'
import { describeClient } from './against-routes.js'

describeClient('the client of one server', () => [{}])
