import type { Plugin } from 'esbuild'

export const templates: Plugin
