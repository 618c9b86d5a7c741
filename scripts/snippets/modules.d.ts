/** As much as the code blocks of the documents use of packages that are not installed here. */
declare module 'node-windows' {
  export interface ServiceOptions {
    name: string
    script: string
    scriptOptions?: string
    env?: { name: string; value: string | undefined }[]
  }
  export interface Service {
    on(event: 'install', listener: () => void): void
    start(): void
    install(): void
  }
  const nodeWindows: { Service: new (options: ServiceOptions) => Service }
  export default nodeWindows
}

declare module 'koa-mount' {
  import type { Middleware } from 'koa'
  export default function mount(path: string, middleware: Middleware): Middleware
}

declare module '@nestjs/core' {
  import type { RequestHandler } from 'express'
  export interface NestApplication {
    use(middleware: RequestHandler): void
    listen(port: number, host: string): Promise<void>
    close(): Promise<void>
  }
  export const NestFactory: { create(module: object): Promise<NestApplication> }
}

declare module '*/app.module.js' {
  export class AppModule {
    readonly imports: readonly object[]
  }
}

declare module 'electron' {
  export const app: {
    getPath(name: 'userData'): string
    on(event: 'before-quit', listener: () => void): void
  }
}

declare module '@temporalio/activity' {
  export class Context {
    static current(): Context
    readonly cancellationSignal: AbortSignal
    readonly heartbeat: (details?: unknown) => void
  }
  export class ApplicationFailure extends Error {
    static nonRetryable(message: string, type?: string): ApplicationFailure
  }
}

declare module '@nats-io/transport-node' {
  export interface NatsConnection {
    close(): Promise<void>
  }
  export function connect(options: { servers: string }): Promise<NatsConnection>
}

declare module '@nats-io/jetstream' {
  import type { NatsConnection } from '@nats-io/transport-node'
  export interface JsMsg {
    json(): unknown
    ack(): void
    nak(millis?: number): void
    term(reason?: string): void
    working(): void
  }
  interface Consumer {
    consume(options: { max_messages: number }): Promise<AsyncIterable<JsMsg>>
  }
  export function jetstream(connection: NatsConnection): {
    consumers: { get(stream: string, name: string): Promise<Consumer> }
  }
}
