import Koa from 'koa'
import { koaMount } from './koa-host.js'
import { describeContract } from './suite.js'

describeContract('Koa 3', koaMount(Koa))
