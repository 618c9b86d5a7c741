import { createApp } from 'vue'
import { createClient } from 'model-downloader/client'
import { modelDownloader } from 'model-downloader/vue'
import App from './App.vue'
import '../shared/downloads.css'

// An empty base URL is the page's own origin. Vite forwards `/api` to the server; see vite.config.js.
const client = createClient({ baseUrl: '' })

createApp(App).use(modelDownloader, client).mount('#root')
