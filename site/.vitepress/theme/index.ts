import type { Theme } from 'vitepress'
import { theme as openApi } from 'vitepress-openapi/client'
import DefaultTheme from 'vitepress/theme'
import 'vitepress-openapi/dist/style.css'

export default {
  extends: DefaultTheme,
  enhanceApp(context) {
    openApi.enhanceApp(context)
  },
} satisfies Theme
