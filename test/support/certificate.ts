/** Certificates for tests only; `certs/README.md` describes them. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** `valid` for localhost, 127.0.0.1 and ::1; `expired` for the same; `otherHost` for elsewhere.invalid. */
export type CertificateName = 'valid' | 'expired' | 'otherHost'

const pathOf = (file: string) => fileURLToPath(new URL(`./certs/${file}`, import.meta.url))

/** Path of the CA certificate, for `NODE_EXTRA_CA_CERTS` of a child process or curl's `--cacert`. */
export const caPath = pathOf('ca.pem')
/** The private key of all certificates. */
export const keyPath = pathOf('server.key')
/** The certificates as files. */
export const certificatePaths: Readonly<Record<CertificateName, string>> = {
  valid: pathOf('server.pem'),
  expired: pathOf('expired.pem'),
  otherHost: pathOf('other-host.pem'),
}

/** The CA certificate as PEM, for the `ca` option of a TLS client. */
export const caPem = readFileSync(caPath, 'utf8')

/** Key and certificate as PEM, for a TLS server. */
export function certificate(name: CertificateName = 'valid'): { key: string; cert: string } {
  return { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certificatePaths[name], 'utf8') }
}
