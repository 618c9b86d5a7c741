/** Pairs of sites that are run as one service. */
const oneService: readonly (readonly [string, string])[] = [
  ['ollama.ai', 'ollama.com'],
  ['hf.co', 'huggingface.co'],
]

/**
 * Whether two host names belong to one owner, as far as names can tell: they are equal, or they are registered under the
 * same domain (`example.com` for `auth.example.com`), or their two domains are known to be one service.
 *
 * The public suffix list (https://publicsuffix.org) decides what can be registered, with its private part: two projects
 * under `github.io` are strangers to each other. An IP address, and a name without a dot, match only themselves.
 */
export async function isSameSite(one: string, other: string): Promise<boolean> {
  const hosts = [normalize(one), normalize(other)] as const
  if (hosts[0] === hosts[1]) return true
  // The list takes a while to load, and most registries never need it.
  const { getDomain } = await import('tldts')
  const [site, otherSite] = hosts.map((host) => getDomain(host, { allowPrivateDomains: true }))
  if (typeof site !== 'string' || typeof otherSite !== 'string') return false
  return site === otherSite || oneService.some((pair) => pair.includes(site) && pair.includes(otherSite))
}

function normalize(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}
