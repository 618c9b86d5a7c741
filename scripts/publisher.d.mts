export function withPublisher(
  manifest: Record<string, unknown>,
  page: string,
  author: string,
): Record<string, unknown>
