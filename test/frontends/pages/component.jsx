/** A React component as there are many: it knows the fields of the first version only. */
import { useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'

/** Starts a download, and polls until it is over. */
function useDownload(api, everyMs) {
  const [url, setUrl] = useState(null)
  const [download, setDownload] = useState(null)
  const [problem, setProblem] = useState(null)

  const start = async (wanted) => {
    setDownload(null)
    setProblem(null)
    setUrl(null)
    try {
      const response = await fetch(`${api}/api/models/download`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ url: wanted, mode: 'llm' }),
      })
      const body = await response.json()
      if (body.success) setUrl(wanted)
      else setProblem(`Failed: ${body.error}`)
    } catch (error) {
      setProblem(`Unreachable: ${error.message}`)
    }
  }

  useEffect(() => {
    if (url === null) return
    let timer = null
    let isOver = false
    const poll = async () => {
      const response = await fetch(`${api}/api/models/download/status?url=${encodeURIComponent(url)}`)
      const body = await response.json()
      if (isOver) return
      if (body.success) setDownload(body.download)
      else setProblem(`Failed: ${body.error}`)
      if (body.success && body.download.status === 'downloading') timer = setTimeout(poll, everyMs)
    }
    poll()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [api, everyMs, url])

  return { download, problem, start }
}

function textOf({ status, progress, downloaded, total, error }) {
  if (status === 'completed') return `Done: ${progress.toFixed(1)} %`
  if (status === 'failed') return `Failed: ${error}`
  return `Downloading: ${progress.toFixed(1)} %, ${downloaded} of ${total}`
}

function ModelDownload({ api, everyMs }) {
  const [wanted, setWanted] = useState('')
  const [history, setHistory] = useState([])
  const { download, problem, start } = useDownload(api, everyMs)
  const text = problem ?? (download === null ? '' : textOf(download))

  useEffect(() => {
    if (text !== '') setHistory((before) => [...before, text])
  }, [text, download])

  return (
    <>
      <input id="url" value={wanted} onChange={(event) => setWanted(event.target.value)} />
      <button id="start" onClick={() => start(wanted)}>
        Download
      </button>
      <progress id="bar" max="100" value={download?.progress ?? 0} />
      <p id="text">{text}</p>
      <ol id="history">
        {history.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
      </ol>
    </>
  )
}

const settings = new URLSearchParams(location.search)
createRoot(document.getElementById('root')).render(
  <ModelDownload api={settings.get('api')} everyMs={Number(settings.get('every') ?? 1000)} />,
)
