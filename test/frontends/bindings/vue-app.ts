/** An app of Vue, as people write them, with functions in place of templates. */
import { createSSRApp, defineComponent, h, type App } from 'vue'
import { modelDownloader, useDownload, useDownloads, usePreload } from '../../../adapters/vue.js'
import { codeOf, draws, moves, nameOf, textOf, type AppProps } from './app.js'

const Row = defineComponent({
  props: { url: { type: String, required: true } },
  setup(props) {
    const { download, error, ...actions } = useDownload(() => props.url)
    return () => {
      draws(nameOf(props.url))
      return h('li', { class: nameOf(props.url) }, [
        h('span', { class: 'text' }, textOf(download.value)),
        h('span', { class: 'error' }, codeOf(error.value)),
        moves.map((move) => h('button', { class: move, onClick: () => void actions[move]() }, move)),
      ])
    }
  },
})

const Summary = defineComponent(() => {
  const { downloads, connection, error, refresh } = useDownloads()
  return () =>
    h('header', [
      h('b', { id: 'connection' }, connection.value),
      h('i', { id: 'error' }, codeOf(error.value)),
      h('button', { id: 'refresh', onClick: refresh }, 'refresh'),
      h('p', { id: 'all' }, downloads.value.map(({ filename, state }) => `${filename} ${state}`).join(', ')),
    ])
})

const Preload = defineComponent(() => {
  const { preload, models, start } = usePreload()
  const ready = () => Object.values(models.value?.models ?? {}).filter((model) => model.ready).length
  return () =>
    h('footer', [
      h(
        'p',
        { id: 'preload' },
        `${preload.value?.running === true ? 'running' : 'not running'}, ${ready()} ready`,
      ),
      h('pre', { id: 'logs' }, preload.value?.logs.join('\n') ?? ''),
      h('button', { id: 'preload-start', onClick: () => void start() }, 'preload'),
    ])
})

/** Rows, each twice, and the rest. */
export function createApp({ client, urls, models = false }: AppProps & { models?: boolean }): App {
  const rows = () => urls.map((url) => h(Row, { url, key: url }))
  const all = defineComponent(() => () => [
    h(Summary),
    h('ul', { id: 'rows' }, rows()),
    h('ul', { id: 'again' }, rows()),
    models ? h(Preload) : null,
  ])
  return createSSRApp(all).use(modelDownloader, client)
}
