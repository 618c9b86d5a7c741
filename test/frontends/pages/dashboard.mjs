/** The dashboard on a page. */
import axios from 'axios'
import { Dashboard } from '../dashboard.ts'

const { document, location } = globalThis
const settings = new URLSearchParams(location.search)
const board = new Dashboard(
  axios,
  settings.get('api'),
  settings.get('token') ?? '',
  Number(settings.get('every') ?? 3000),
)
document.getElementById('root').innerHTML =
  '<button id="start">Preload</button><p id="state"></p><p id="error"></p><pre id="logs"></pre><ul id="models"></ul>'
const find = (id) => document.getElementById(id)

function render() {
  const { run, models, error } = board
  find('error').textContent = error
  find('state').textContent = run === null ? '' : run.running ? 'running' : `ended: ${run.success_flag}`
  find('logs').textContent = run === null ? '' : run.logs.join('\n')
  const items = Object.values(models?.models ?? {}).map(({ name, ready, message }) => {
    const item = document.createElement('li')
    item.textContent = `${name}: ${ready ? 'ready' : 'missing'} (${message})`
    return item
  })
  find('models').replaceChildren(...items)
}

find('start').addEventListener('click', async () => {
  await board.start()
  render()
})
await board.open()
render()
