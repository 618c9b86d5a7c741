import express4 from 'express4'
import { expressMount } from './express-host.js'
import { describeContract } from './suite.js'

describeContract('Express 4', expressMount(express4))
