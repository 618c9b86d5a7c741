import type { ESLint } from 'eslint'

export const rooms: readonly string[]
export function violation(from: string, specifier: string, typeOnly: boolean): string | null
declare const plugin: ESLint.Plugin
export default plugin
