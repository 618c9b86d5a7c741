// The part of undici that is built in: see tsup.config.ts.
exports.Agent = require('../node_modules/undici/lib/dispatcher/agent.js')
exports.ProxyAgent = require('../node_modules/undici/lib/dispatcher/proxy-agent.js')
exports.Pool = require('../node_modules/undici/lib/dispatcher/pool.js')
exports.buildConnector = require('../node_modules/undici/lib/core/connect.js')
// A proxy for https asks for its tunnels with this method, which undici's own entry adds.
const Dispatcher = require('../node_modules/undici/lib/dispatcher/dispatcher.js')
Dispatcher.prototype.connect = require('../node_modules/undici/lib/api/api-connect.js')
