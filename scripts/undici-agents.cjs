// The part of undici that the command is built with: see tsup.config.ts.
exports.Agent = require('../node_modules/undici/lib/dispatcher/agent.js')
exports.EnvHttpProxyAgent = require('../node_modules/undici/lib/dispatcher/env-http-proxy-agent.js')
exports.Pool = require('../node_modules/undici/lib/dispatcher/pool.js')
exports.buildConnector = require('../node_modules/undici/lib/core/connect.js')
