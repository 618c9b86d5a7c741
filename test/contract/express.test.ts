import express from 'express'
import { expressMount } from './express-host.js'
import { describeContract } from './suite.js'

describeContract('Express 5', expressMount(express))
