import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { defineConfig, type DefaultTheme } from 'vitepress'

const pages = path.join(import.meta.dirname, '../.pages')

/** Pages in the order of the sidebar; each Chinese one has the same name below `zh-CN/`. */
const groups: [english: string, chinese: string, pages: string[]][] = [
  ['Start', '入门', ['overview', 'getting-started', 'migration', 'comparison']],
  [
    'Frameworks',
    '各框架',
    [
      'frameworks',
      'frameworks/fastify',
      'frameworks/koa',
      'frameworks/hono',
      'frameworks/nest',
      'frameworks/next',
      'frameworks/node',
    ],
  ],
  [
    'Guides',
    '指南',
    ['manager', 'events', 'sources', 'mirrors', 'verification', 'layouts', 'preload', 'stores'],
  ],
  [
    'Sources',
    '来源',
    [
      'sources/huggingface',
      'sources/modelscope',
      'sources/github',
      'sources/registries',
      'sources/civitai',
      'sources/kaggle',
      'sources/s3',
      'sources/azure',
      'sources/google-storage',
      'sources/local-files',
      'sources/own',
    ],
  ],
  [
    'Servers and pages',
    '服务端与网页',
    [
      'adapters',
      'rest',
      'openapi',
      'client',
      'views',
      'dashboard',
      'bundling',
      'runtimes',
      'operations',
      'cluster',
    ],
  ],
  ['Command', '命令行', ['cli', 'windows']],
  ['When something is wrong', '出错时', ['troubleshooting', 'errors', 'security', 'reporting']],
  [
    'The project',
    '项目',
    [
      'architecture',
      'platforms',
      'simulator',
      'benchmark',
      'contributing',
      'changelog',
      'examples/page',
      'examples/react',
      'examples/vue',
    ],
  ],
]

/** What a page calls itself. */
function titleOf(page: string): string {
  const title = /^# (.+)$/mu.exec(readFileSync(path.join(pages, `${page}.md`), 'utf8'))?.[1]
  if (title === undefined) throw new Error(`${page}.md has no heading.`)
  return title.replaceAll('`', '')
}

const listed = groups.flatMap(([, , names]) => names)
const unlisted = readdirSync(pages, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll(path.sep, '/'))
  .filter((file) => file.endsWith('.md') && !/^(?:api|public)\/|(?:^|\/)index\.md$/u.test(file))
  .map((file) => file.replace(/^zh-CN\/|\.md$/gu, ''))
  .filter((page) => !listed.includes(page))
if (unlisted.length > 0) throw new Error(`The sidebar of the site lacks ${unlisted.join(', ')}.`)

/** The sidebar of a language: its own pages, and English ones where there is none. */
function sidebarOf(chinese: boolean): DefaultTheme.SidebarItem[] {
  const items = groups.map(([english, translated, names]) => ({
    text: chinese ? translated : english,
    items: names.map((name) => {
      const page = chinese && existsSync(path.join(pages, `zh-CN/${name}.md`)) ? `zh-CN/${name}` : name
      const title = name === 'overview' ? (chinese ? '概览' : 'Overview') : titleOf(page)
      return { text: title, link: `/${page}` }
    }),
  }))
  return [...items, { text: 'API', items: [{ text: chinese ? 'API 参考' : 'API reference', link: '/api/' }] }]
}

function navOf(chinese: boolean): DefaultTheme.NavItem[] {
  const prefix = chinese ? '/zh-CN' : ''
  return [
    { text: chinese ? '快速上手' : 'Getting started', link: `${prefix}/getting-started` },
    {
      text: chinese ? '命令行' : 'Command',
      link: chinese && existsSync(path.join(pages, 'zh-CN/cli.md')) ? '/zh-CN/cli' : '/cli',
    },
    { text: 'API', link: '/api/' },
    { text: 'REST', link: '/openapi' },
  ]
}

const chineseSearch = {
  button: { buttonText: '搜索', buttonAriaLabel: '搜索' },
  modal: {
    displayDetails: '显示详情',
    resetButtonTitle: '清除',
    backButtonTitle: '返回',
    noResultsText: '没有结果：',
    footer: { selectText: '选择', navigateText: '切换', closeText: '关闭' },
  },
}

export default defineConfig({
  title: 'model-downloader',
  description: 'Brings AI-model files to disk: resumable, verified, concurrent, observable.',
  srcDir: '.pages',
  // A site of a project on GitHub Pages is below its name.
  base: process.env['DOCS_BASE'] ?? '/',
  cleanUrls: true,
  // Addresses that the documents only give as examples.
  ignoreDeadLinks: [/^https?:\/\/localhost/u],
  locales: {
    root: { label: 'English', lang: 'en' },
    'zh-CN': {
      label: '简体中文',
      lang: 'zh-CN',
      description: '下载 AI 模型文件：断点续传、校验、并发、可观测。',
      themeConfig: {
        nav: navOf(true),
        sidebar: sidebarOf(true),
        outline: { label: '本页内容', level: [2, 3] },
        docFooter: { prev: '上一页', next: '下一页' },
        darkModeSwitchLabel: '主题',
        lightModeSwitchTitle: '切换到浅色模式',
        darkModeSwitchTitle: '切换到深色模式',
        sidebarMenuLabel: '菜单',
        returnToTopLabel: '回到顶部',
        langMenuLabel: '切换语言',
      },
    },
  },
  themeConfig: {
    nav: navOf(false),
    sidebar: sidebarOf(false),
    outline: { level: [2, 3] },
    search: { provider: 'local', options: { locales: { 'zh-CN': { translations: chineseSearch } } } },
  },
})
