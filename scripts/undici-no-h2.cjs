// In place of undici's HTTP/2, which the command never speaks: see tsup.config.ts. Loading it is a twentieth of the start.
module.exports = () => {
  throw new Error('HTTP/2 is not built in')
}
