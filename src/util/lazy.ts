/**
 * Returns a function that creates a value on its first call and returns the same value from then on. Used for
 * values that most runs never need and that would slow down every start, such as schemas of rarely needed
 * responses.
 */
export function lazily<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}
