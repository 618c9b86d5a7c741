/** `<model-fleet>`: which nodes of a fleet have which models, and a way to have them get some. */
import { html, nothing, type TemplateResult } from 'lit'
import { type Client, isDownloadError } from '../../client/index.js'
import type { LiveStore } from '../../live/index.js'
import { define, LiveElement } from '../base.js'
import { formatMoment, formatPercent, formatSpeed } from '../format.js'
import { listed } from '../listed.js'
import { bar, icon, type IconName } from '../parts.js'
import { fill } from '../strings.js'
import { controls, tokens } from '../theme.js'
import { type FleetActions, type FleetSnapshot, liveFleet } from './live.js'
import { fleetStrings, type FleetStrings } from './strings.js'
import { fleetStyles } from './styles.js'
import {
  type FleetRow,
  type FleetView,
  type FleetViewCell,
  type FleetViewNode,
  fleetViewOf,
  termsOf,
  toggledIn,
} from './view.js'

type State = FleetViewCell['state']

const cellTones: Readonly<Record<State, string>> = {
  ready: 'is-success',
  downloading: '',
  queued: 'is-muted',
  waiting: 'is-muted',
  failed: 'is-danger',
  missing: 'is-warning',
  absent: 'is-muted',
}

const cellIcons: Readonly<Record<State, IconName>> = {
  ready: 'check',
  downloading: 'arrow',
  queued: 'clock',
  waiting: 'clock',
  failed: 'alert',
  missing: 'box',
  absent: 'cloud',
}

/** The element. It shows nothing where the server is no node of a fleet. */
export class FleetElement extends LiveElement<FleetSnapshot, FleetActions> {
  static override styles = [tokens, controls, listed, fleetStyles]

  #own: FleetStrings = fleetStrings('en-US')
  #selector = 'all'
  #keys: readonly string[] = []
  #keysOf: Client | null = null
  #chosen = ''
  #isBusy = false
  #problem = ''
  #said = ''

  protected override storeOf(client: Client): LiveStore<FleetSnapshot, FleetActions> {
    return liveFleet(client)
  }

  override render() {
    if (this.access?.fleet !== true) return nothing
    this.#own = fleetStrings(this.locale)
    const own = this.#own
    const fleet = this.store?.getSnapshot().fleet ?? null
    const view = fleet === null ? null : fleetViewOf(fleet)
    const summary = view === null ? '' : this.#summary(view)
    return html`<section class="card" aria-labelledby="heading">
        <header>
          <h2 id="heading">${own.title}</h2>
          <p class="small muted">${view === null ? this.texts.connecting : summary}</p>
        </header>
        <div class="banner part">${this.banner()}</div>
        ${view !== null && this.access.queue ? this.#form(view) : nothing}
        ${
          this.#problem === ''
            ? nothing
            : html`<div class="part">
                <div class="note is-danger" role="alert">
                  ${icon('alert')}<span>${this.say('failedAction', { reason: this.#problem })}</span>
                </div>
              </div>`
        }
        ${view === null ? nothing : this.#matrix(view)}
      </section>
      ${this.speaker()}`
  }

  protected override onNews({ fleet }: FleetSnapshot): void {
    if (fleet === null || this.access?.fleet !== true) return
    const summary = this.#summary(fleetViewOf(fleet))
    if (this.#said !== '' && summary !== this.#said) this.announce(summary)
    this.#said = summary
  }

  #summary({ ready, present, absent }: FleetView): string {
    const own = fleetStrings(this.locale)
    const gone = absent === 0 ? '' : ` ${fill(own.gone, { n: absent })}`
    return fill(own.summary, { ready, present }) + gone
  }

  #form({ nodes, labels }: FleetView): TemplateResult {
    const own = this.#own
    return html`<form
      @submit=${(event: SubmitEvent) => {
        event.preventDefault()
        void this.#start()
      }}
    >
      <label
        >${own.model}
        <select
          @change=${(event: Event) => {
            this.#chosen = event.currentTarget instanceof HTMLSelectElement ? event.currentTarget.value : ''
          }}
        >
          <option value="">${own.allModels}</option>
          ${this.#keys.map((key) => html`<option value=${key} ?selected=${key === this.#chosen}>${key}</option>`)}
        </select></label
      >
      <label
        >${own.nodes}
        <input
          name="nodes"
          list="nodes"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          title=${own.nodesHint}
          placeholder=${own.nodesHint}
          aria-invalid=${this.#problem === '' ? nothing : 'true'}
          .value=${this.#selector}
          @input=${(event: Event) => {
            this.#selector = event.currentTarget instanceof HTMLInputElement ? event.currentTarget.value : ''
            this.requestUpdate()
          }}
      /></label>
      <datalist id="nodes">
        <option value="all"></option>
        ${labels.map((label) => html`<option value=${`label:${label}`}></option>`)}
        ${nodes.map(({ name }) => html`<option value=${name}></option>`)}
      </datalist>
      <button type="submit" class="primary">${icon('arrow')}${own.fetch}</button>
    </form>`
  }

  #matrix(view: FleetView): TemplateResult {
    const own = this.#own
    if (view.rows.length === 0) return html`<p class="part small muted">${own.nothing}</p>`
    return html`<div class="scroll" role="region" aria-label=${own.matrix} tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">${own.model}</th>
            ${view.nodes.map((node) => this.#node(node))}
          </tr>
        </thead>
        <tbody>
          ${view.rows.map((row) => this.#row(row, view.nodes))}
        </tbody>
      </table>
    </div>`
  }

  #node({ name, labels, absent, last_seen: seen }: FleetViewNode): TemplateResult {
    const own = this.#own
    const isChosen = termsOf(this.#selector).includes(name)
    return html`<th scope="col" class=${absent ? 'gone' : ''}>
      ${
        this.access?.queue === true
          ? html`<button
              type="button"
              class="plain"
              aria-pressed=${isChosen ? 'true' : 'false'}
              title=${fill(own.toggle, { name })}
              @click=${() => {
                this.#selector = toggledIn(this.#selector, name)
                this.requestUpdate()
              }}
            >
              ${name}
            </button>`
          : name
      }
      ${
        labels.length === 0
          ? nothing
          : html`<div class="tags">${labels.map((label) => html`<span class="tag">${label}</span>`)}</div>`
      }
      ${
        absent
          ? html`<div class="seen">
              ${fill(own.lastSeen, { time: formatMoment(seen, new Date(), this.locale) })}
            </div>`
          : nothing
      }
    </th>`
  }

  #row({ key, cells }: FleetRow, nodes: readonly FleetViewNode[]): TemplateResult {
    return html`<tr>
      <th scope="row">${key}</th>
      ${cells.map((cell, index) => this.#cell(key, cell, nodes[index]))}
    </tr>`
  }

  #cell(key: string, cell: FleetViewCell | null, node: FleetViewNode | undefined): TemplateResult {
    const own = this.#own
    const gone = node?.absent === true ? 'gone' : ''
    if (cell === null)
      return html`<td class=${gone}>
        <span class="muted" aria-hidden="true">–</span><span class="spoken">${own.notWanted}</span>
      </td>`
    const { state, percent, speed, error } = cell
    const isMoving = state === 'downloading'
    const done = formatPercent(percent, this.locale)
    const detail = isMoving
      ? [done, ...(speed > 0 && this.isLive ? [formatSpeed(speed, this.locale)] : [])].join(' · ')
      : state === 'waiting' || (state === 'absent' && percent > 0)
        ? percent > 0
          ? done
          : ''
        : (error ?? '')
    return html`<td class="${gone} ${cellTones[state]}">
      <div class="what">${icon(cellIcons[state])}<span class="state">${own[state]}</span></div>
      ${isMoving ? bar(`${key}, ${node?.name ?? ''}`, percent, `${own[state]}, ${done}`) : nothing}
      ${detail === '' ? nothing : html`<div class="detail">${detail}</div>`}
    </td>`
  }

  async #start(): Promise<void> {
    const client = this.usedClient
    if (client === null || this.#isBusy) return
    const nodes = termsOf(this.#selector).join(',')
    const request = {
      ...(this.#chosen === '' ? {} : { models: [this.#chosen] }),
      nodes: nodes === '' ? 'all' : nodes,
    }
    this.#isBusy = true
    this.#problem = ''
    try {
      const { models } = await client.fleet.start(request)
      this.announce(fill(this.#own.asked, { models: models.join(', '), nodes: request.nodes }))
    } catch (error) {
      if (!isDownloadError(error)) throw error
      // What is wrong with a selector says the server.
      this.#problem = error.code === 'INVALID_OPTIONS' ? error.message : this.reason(error)
    } finally {
      this.#isBusy = false
      this.requestUpdate()
    }
  }

  protected override updated(): void {
    const client = this.usedClient
    if (client === null || client === this.#keysOf || this.access?.fleet !== true) return
    this.#keysOf = client
    void client.modelsStatus().then(
      ({ catalog }) => {
        if (client !== this.#keysOf) return
        this.#keys = catalog.map(({ key }) => key)
        this.requestUpdate()
      },
      () => {
        // All models can still be chosen.
      },
    )
  }
}

define('model-fleet', FleetElement)
