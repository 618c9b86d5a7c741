import Koa2 from 'koa2'
import { koaMount } from './koa-host.js'
import { describeContract } from './suite.js'

describeContract('Koa 2', koaMount(Koa2))
