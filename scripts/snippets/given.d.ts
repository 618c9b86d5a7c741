/**
 * What the code blocks of the documents take for granted: names that the text around them has introduced, and what an
 * app of the reader has anyway. A block that needs more says so itself, by an import.
 */
import type { RequestHandler } from 'express'
import type { Server } from 'node:http'
import type { Authorize, Download, DownloadManager, Preloader } from 'model-downloader'
import type { Client, WireDownload } from 'model-downloader/client'
import type { Component } from 'vue'

type Fetch = (request: Request) => Promise<Response>

declare global {
  const manager: DownloadManager
  const preloader: Preloader
  const download: Download
  const client: Client
  const authorize: Authorize
  const server: Server
  const App: Component
  /** Of the runtimes that have a server of their own. */
  const Bun: { serve(options: { port: number; hostname: string; fetch: Fetch }): unknown }
  const Deno: { serve(options: { port: number; hostname: string }, handler: Fetch): unknown }
  const url: string
  const baseUrl: string
  const secret: string
  function show(...what: unknown[]): void
  function render(download: WireDownload): void
  function token(): Promise<string>
  function freshToken(): Promise<string>
  function tellTheUser(message: string): void
  function askAgainLater(): void
  function session(options: object): RequestHandler
}
