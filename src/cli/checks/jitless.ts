import * as z from 'zod'

/** Compiling the checks of options takes longer than the few times that they run in a command that ends. */
export function checkWithoutCompiling(): void {
  z.config({ jitless: true })
}
