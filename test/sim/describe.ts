/** A world in words, for people who have to understand what went wrong in it. */
import type { CallSpec, Death, DiskFault, FileSpec, RequestFault, ServerSpec, WorldSpec } from './spec.js'

/** Says everything about a world that is not the usual. */
export function describeWorld(world: WorldSpec): string {
  const lines = [
    `Seed ${world.seed}; a disk that is ${world.disk === 'ordered' ? 'ordered as ext4' : 'as loose as POSIX allows'}.`,
    ...lengthsOf(world),
    `${world.connections} connections per download, ${world.concurrency} downloads at a time, segments of at least ${world.minSegmentBytes} bytes, bodies read the ${world.bodyReader} way.`,
    ...(world.freeBytes === null ? [] : [`There is room for ${world.freeBytes} bytes.`]),
    ...budgetOf(world),
    ...world.diskFaults.map(diskFault),
    ...world.deaths.map(death),
    ...(world.outage === null
      ? []
      : [`From ${world.outage.fromMs} ms on, for ${world.outage.forMs} ms, the network is down.`]),
    ...(world.slowness === 1 ? [] : [`The network is ${world.slowness} times slower than usual.`]),
    ...(world.rivalAtMs === null
      ? []
      : [`From ${world.rivalAtMs} ms on another process downloads the same into the same folder.`]),
    ...(world.listenersThrow ? ['Listeners of events throw.'] : []),
    ...(world.isGroup ? ['The files are one download.'] : []),
    ...hubOf(world),
    ...world.files.flatMap(file),
    ...world.calls.map(call),
  ]
  return lines.join('\n')
}

function lengthsOf({ lengths = 'holes' }: WorldSpec): string[] {
  switch (lengths) {
    case 'holes':
      return []
    case 'zeros':
      return ['The disk fills gaps with zeros.']
    case 'ignored':
      return ['The disk makes no file longer, though it says so.']
    case 'half':
      return ['The disk makes a file longer by half of what is asked.']
    default:
      return [`The disk refuses to set the length of a file: ${lengths}.`]
  }
}

function hubOf({ hub = null }: WorldSpec): string[] {
  if (hub === null) return []
  const token = hub.tokenMs === null ? 'for ever' : `for ${hub.tokenMs} ms`
  const faults = hub.faults.map(({ request, fault }) => `; request ${request}: ${requestFault(fault)}`)
  return [`A hub lists them, whose tokens are good ${token}${faults.join('')}.`]
}

function budgetOf({ budget = null }: WorldSpec): string[] {
  if (budget === null) return []
  return [
    `The manager may use ${budget.bytes} bytes of the disk; when they are used up, whenFull is ${budget.whenFull}.`,
  ]
}

function diskFault({ call: name, nth, errno, lasts }: DiskFault): string {
  const how = errno === 'short' ? 'gets half of the bytes' : `fails with ${errno}`
  return `Call ${nth} of ${name}() ${how}${lasts ? ', and all after it' : ''}.`
}

function death({ call: nth, after, power }: Death, index: number): string {
  const what = power ? 'the power goes' : 'it is killed'
  return `Process ${index + 1}: ${what} ${after ? 'after' : 'before'} file call ${nth}.`
}

function file(spec: FileSpec, index: number): string[] {
  const traits = [
    `${spec.size} bytes`,
    `digest ${spec.digest}`,
    `size ${spec.toldSize}`,
    ...(spec.existing ? ['an older file has its name'] : []),
    ...(spec.force ? ['forced'] : []),
    ...(spec.remote ? ['asked for by a stranger'] : []),
    ...((spec.disposition ?? null) === null ? [] : [`named by ${JSON.stringify(spec.disposition)} only`]),
    ...(spec.spread ? ['from all mirrors at once'] : []),
  ]
  return [`File ${index}: ${traits.join(', ')}.`, ...spec.servers.map(server)]
}

function server(spec: ServerSpec, index: number): string {
  const ranges =
    spec.ranges === 'refused-for-others'
      ? `refused with ${spec.refusal} beside another`
      : spec.ranges === 'refused'
        ? `refused with ${spec.refusal}`
        : spec.ranges
  const traits = [
    `ranges ${ranges}`,
    `length ${spec.length}`,
    `validator ${spec.validator}`,
    ...(spec.redirect === 'none' ? [] : [`redirects: ${spec.redirect}`]),
    ...((spec.coding ?? 'none') === 'none' ? [] : [`Content-Encoding ${spec.coding} always`]),
    ...((spec.headMs ?? 0) === 0 ? [] : [`${spec.headMs} ms until each head`]),
    ...((spec.wire ?? 'usual') === 'usual' ? [] : [`written: ${spec.wire}`]),
    ...((spec.label ?? 'usual') === 'usual' ? [] : [`Content-Range: ${spec.label}`]),
    ...(spec.cookie === true && spec.redirect !== 'none' ? ['redirects set a cookie'] : []),
    ...(spec.keepAlive ? [] : ['closes after each response']),
    ...(spec.changesAt === null ? [] : [`another version from request ${spec.changesAt} on`]),
    ...spec.faults.map(({ request, fault }) => `request ${request}: ${requestFault(fault)}`),
  ]
  return `  Server ${index}: ${traits.join('; ')}.`
}

function requestFault(fault: RequestFault): string {
  switch (fault.kind) {
    case 'cut':
      return `${fault.how} after ${fault.percent} %`
    case 'status': {
      const after = fault.retryAfterSeconds === null ? '' : `, Retry-After ${fault.retryAfterSeconds}`
      return `status ${fault.status}${after}`
    }
    case 'words':
      return `200 with a few words of ${fault.type}`
    case 'refused':
      return 'the connection is refused'
    case 'garbage':
      return 'no HTTP'
    case 'trickle':
      return `${fault.bytesPerSecond} bytes a second`
    case 'encoded':
      return `Content-Encoding ${fault.as}`
    case 'hang-up':
      return `${fault.how} after the response`
  }
}

function call({ atMs, file: index, what }: CallSpec): string {
  return `At ${atMs} ms: ${what} file ${index}.`
}
