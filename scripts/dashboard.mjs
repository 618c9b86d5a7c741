/** Builds the dashboard: a single HTML file with inline script and styles, which the handler serves unchanged. */
import { build } from 'esbuild'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { templates } from './templates.mjs'

const root = path.resolve(import.meta.dirname, '..')

/** Styles that apply before the script has run: the page's background color, so that nothing flashes. */
const styles =
  ':root{color-scheme:light dark;background:light-dark(#f6f7f9,#0f1115)}' +
  ':root[data-theme=light]{color-scheme:light}:root[data-theme=dark]{color-scheme:dark}' +
  '@media print{:root{background:#fff}}body{margin:0;min-height:100vh}noscript{font:1rem/1.5 system-ui,sans-serif;display:block;padding:2rem}'

/** The page's favicon: an arrow into a tray. */
const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' " +
  "rx='8' fill='%233d5afe'/%3E%3Cpath d='M16 7v12m-5-5 5 5 5-5M9 24h14' fill='none' stroke='%23fff' stroke-width='2.5' " +
  "stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E"

/**
 * The page as an app that can be installed. Without `start_url`, the app starts with the page that it was installed from,
 * so it works wherever the page is mounted.
 */
const manifest = `data:application/manifest+json,${encodeURIComponent(
  JSON.stringify({
    name: 'Model downloads',
    short_name: 'Models',
    display: 'standalone',
    background_color: '#f6f7f9',
    theme_color: '#f6f7f9',
    icons: [{ src: icon, sizes: 'any', type: 'image/svg+xml' }],
  }),
)}`

/** Types of the page as a module. */
const declaration = `/**
 * The dashboard, a whole HTML page, for hosts that are bundled into one file: pass it as \`ui\` to an adapter or to
 * \`createHandler\`.
 */
export declare const dashboardHtml: string
`

/** Writes the page into a folder: as `dashboard.html`, and as a module that exports its text. */
export async function makeDashboard(folder) {
  const { outputFiles } = await build({
    entryPoints: [path.join(root, 'src/elements/page/page.ts')],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    plugins: [templates],
    // The virtual list has checks that are for its development only.
    define: { 'process.env.NODE_ENV': '"production"' },
    charset: 'utf8',
    legalComments: 'none',
    banner: {
      js: '/*! With Lit, (c) Google LLC, BSD-3-Clause, and TanStack Virtual, (c) Tanner Linsley, MIT: see THIRD-PARTY-LICENSES.md */',
    },
  })
  // The script must not contain its own end tag.
  const script = outputFiles[0].text.replaceAll('</script', '<\\/script')
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Model downloads</title>
<meta name="description" content="Downloads of AI models: their progress, and the disk they take.">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" content="#f6f7f9" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#0f1115" media="(prefers-color-scheme: dark)">
<meta name="robots" content="noindex">
<link rel="icon" href="${icon}">
<link rel="manifest" href="${manifest}">
<style>${styles}</style>
</head>
<body>
<noscript>This page needs JavaScript.</noscript>
<script type="module">${script}</script>
</body>
</html>
`
  writeFileSync(path.join(folder, 'dashboard.html'), html)
  writeFileSync(path.join(folder, 'dashboard.js'), `export const dashboardHtml = ${JSON.stringify(html)}\n`)
  writeFileSync(path.join(folder, 'dashboard.d.ts'), declaration)
}
