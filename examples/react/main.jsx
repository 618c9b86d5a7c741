import { memo, StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from 'model-downloader/client'
import { DownloadProvider, useDownload, useDownloads } from 'model-downloader/react'
import { actionsOf, describe } from '../shared/downloads.js'
import '../shared/downloads.css'

function Form() {
  const [url, setUrl] = useState('')
  const { start, error, connection } = useDownloads()
  const submit = async (event) => {
    event.preventDefault()
    if (await start({ url })) setUrl('')
  }
  return (
    <>
      <header>
        <h1>Models</h1>
        <span className={`connection ${connection}`}>{connection}</span>
      </header>
      <form onSubmit={submit}>
        <input
          required
          placeholder="https://… or hf:owner/name/file.gguf"
          value={url}
          onChange={(event) => setUrl(event.target.value)}
        />
        <button>Download</button>
      </form>
      <p role="alert">{error?.message}</p>
    </>
  )
}

function List() {
  const { downloads } = useDownloads()
  return (
    <ul>
      {downloads.map(({ url }) => (
        <Row key={url} url={url} />
      ))}
    </ul>
  )
}

// A row renders again only when its own download has changed.
const Row = memo(function Row({ url }) {
  const { download, error, ...actions } = useDownload(url)
  if (download === null) return null
  return (
    <li>
      <div>
        <strong>{download.filename}</strong>
        {Object.entries(actionsOf(download)).map(([action, label]) => (
          <button key={action} onClick={() => actions[action]()}>
            {label}
          </button>
        ))}
      </div>
      <progress max="100" value={download.progress} />
      <small>{describe(download)}</small>
      <p role="alert">{error?.message}</p>
    </li>
  )
})

// An empty base URL is the page's own origin. Vite forwards `/api` to the server; see vite.config.js.
const client = createClient({ baseUrl: '' })

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <DownloadProvider client={client}>
      <Form />
      <List />
    </DownloadProvider>
  </StrictMode>,
)
