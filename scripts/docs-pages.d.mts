export const otherDocuments: string[]
export function pageOf(document: string): string | null
export function linkOnSite(document: string, link: string): string
export function pageText(document: string, text: string): { text: string; files: Map<string, string> }
