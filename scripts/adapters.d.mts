export interface Adapter {
  name: string
  file: string
  kind: 'page' | 'server'
  framework: string | null
}

export function readAdapter(name: string, text: string): Adapter
export const adapters: readonly Adapter[]
export const pageAdapters: readonly Adapter[]
export const serverAdapters: readonly Adapter[]
export const frameworks: readonly string[]
export function isFramework(specifier: string): boolean
export function entriesOf(list: readonly Adapter[]): Record<string, string>
