/** Tests against a real nginx. Needs vitest; `nginx-server.ts` has the server alone. */
import { describe, expect, it } from 'vitest'
import { nginxAvailable } from './nginx-server.js'

export { startNginx, type Nginx, type NginxOptions } from './nginx-server.js'

const missing = 'no nginx here: apt-get install nginx-light'

/**
 * `describe` for tests that need nginx. Where there is none, one test stands for them: skipped, saying what to
 * install; with `CI=true` in the environment it fails.
 */
export function describeWithNginx(name: string, tests: () => void): void {
  if (nginxAvailable()) {
    describe(name, tests)
    return
  }
  it(`${name} (${missing})`, (context) => {
    expect(process.env['CI'], missing).not.toBe('true')
    context.skip(missing)
  })
}
