import { createApp } from 'vue'
import { createClient } from 'model-downloader/client'
import { modelDownloader } from 'model-downloader/vue'
import App from './App.vue'
import '../shared/downloads.css'

// The page's own origin: Vite hands `/api` on, see vite.config.js.
const client = createClient({ baseUrl: '' })

createApp(App).use(modelDownloader, client).mount('#root')
