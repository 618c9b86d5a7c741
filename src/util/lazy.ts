/**
 * A value that is made when it is first asked for, and kept. For what most runs never need and all would wait for at
 * their start, such as the schemas of answers that few ask for.
 */
export function lazily<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}
