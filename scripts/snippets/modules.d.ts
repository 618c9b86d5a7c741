/** As much as the documents use of packages that are not installed here. */
declare module 'node-windows' {
  class Service {
    constructor(options: {
      name: string
      script: string
      scriptOptions?: string
      env?: { name: string; value: string | undefined }[]
    })
    on(event: 'install', listener: () => void): void
    start(): void
    install(): void
  }
  const nodeWindows: { Service: typeof Service }
  export default nodeWindows
}

declare module 'koa-mount' {
  export default function mount(path: string, middleware: import('koa').Middleware): import('koa').Middleware
}
