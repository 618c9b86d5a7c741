import { describeWith, type Need } from './machine.js'
import { nginxAvailable } from './nginx-server.js'

export { startNginx, type Nginx, type NginxOptions } from './nginx-server.js'

/** The server itself. */
export const nginx: Need = {
  missing: 'no nginx here: apt-get install nginx-light',
  available: nginxAvailable,
}

/** {@link describeWith} for tests that need nginx. */
export function describeWithNginx(name: string, tests: () => void): void {
  describeWith(nginx, name, tests)
}
