/**
 * The scripts that change records in Redis, each atomically. KEYS[1] is the prefix with a hash tag, so all keys are on one
 * server of a Redis Cluster. Times are those of the server.
 *
 * Keys: `<p>:ids` set of ids; `<p>:r:<id>` hash of a record; `<p>:claims` hash from a file to an id; `<p>:t:<id>` set of
 * its files; `<p>:leases` and `<p>:running` sorted sets from an id to the end of its lease; `<p>:log` stream of what has
 * changed, numbered by `<p>:seq`.
 */

const common = `
local p = KEYS[1]
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function rec(id) return p .. ':r:' .. id end
local function log(kind, id, extra)
  local seq = redis.call('INCR', p .. ':seq')
  redis.call('XADD', p .. ':log', 'MAXLEN', '~', '20000', '*', 'n', seq, 'k', kind, 'i', id, 'x', extra or '')
  return seq
end
local function taken(id, first)
  for i = first, #ARGV do
    local holder = redis.call('HGET', p .. ':claims', ARGV[i])
    if holder and holder ~= id and redis.call('EXISTS', rec(holder)) == 1 then return true end
  end
  return false
end
local function free(id)
  for _, target in ipairs(redis.call('SMEMBERS', p .. ':t:' .. id)) do
    if redis.call('HGET', p .. ':claims', target) == id then redis.call('HDEL', p .. ':claims', target) end
  end
  redis.call('DEL', p .. ':t:' .. id)
end
local function claim(id, first)
  free(id)
  for i = first, #ARGV do
    redis.call('HSET', p .. ':claims', ARGV[i], id)
    redis.call('SADD', p .. ':t:' .. id, ARGV[i])
  end
end
local function place(instance) return (string.gsub(instance, ':[^:]*$', '')) end
local function unlease(id)
  redis.call('ZREM', p .. ':leases', id)
  redis.call('ZREM', p .. ':running', id)
end
`

/**
 * ARGV: id, record, targets… The id is that of a URL, which may have been removed before: revision and generation begin with
 * the number of the change, so they are higher than all that others may know of it, and so are the names of its jobs.
 */
const insert = `${common}
local id = ARGV[1]
if redis.call('EXISTS', rec(id)) == 1 then return 'known' end
if taken(id, 3) then return 'taken' end
-- First of all writes, since a full server refuses no script that has written already.
local first = tonumber(redis.call('GET', p .. ':seq') or '0') + 1
redis.call('HSET', rec(id), 'record', ARGV[2], 'revision', first, 'generation', first, 'epoch', 0, 'owner', '')
claim(id, 3)
redis.call('SADD', p .. ':ids', id)
log('set', id)
return 'inserted'
`

/**
 * ARGV: id, instance, length of the lease, how many may run (empty if it is not going to run, 0 for no limit), for how long it
 * is kept for the node that ran it last. The epoch is at least the time, so that it also grows if the store has lost its data.
 * The field `dead` names the instance that ran the download when it died, until another one runs it; `home` the one that left
 * it unfinished, by the name of its node, and `left` when that was.
 */
const begin = `${common}
local id, node, length, limit, affinity = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local found = redis.call('HMGET', rec(id), 'epoch', 'owner', 'dead', 'home', 'left')
if not found[1] then return {'gone'} end
local t = now()
local from = found[3] or ''
if found[2] ~= '' and redis.call('ZSCORE', p .. ':running', id) then from = found[2] end
local ends = redis.call('ZSCORE', p .. ':leases', id)
if found[2] ~= '' and ends and tonumber(ends) > t then return {'owned'} end
local home, left = found[4] or '', tonumber(found[5] or '0')
if from ~= '' and from == found[2] then home, left = place(from), tonumber(ends or t) end
if limit ~= '' and home ~= '' and home ~= place(node) and t < left + affinity then return {'reserved'} end
if limit ~= '' and tonumber(limit) > 0 and redis.call('ZCOUNT', p .. ':running', t, '+inf') >= tonumber(limit) then
  return {'full'}
end
local epoch = math.max(tonumber(found[1]) + 1, t)
redis.call('HSET', rec(id), 'epoch', string.format('%.0f', epoch), 'owner', node)
redis.call('HINCRBY', rec(id), 'revision', 1)
-- What the last holder has not done, whoever asked for it asks again.
redis.call('HDEL', rec(id), 'intent')
redis.call('ZADD', p .. ':leases', t + length, id)
if limit ~= '' then
  redis.call('ZADD', p .. ':running', t + length, id)
  redis.call('HDEL', rec(id), 'dead', 'home', 'left')
elseif from ~= '' then
  redis.call('HSET', rec(id), 'dead', from)
  -- Nobody has reaped it yet; its run has ended, and this is none.
  if from == found[2] then redis.call('HSET', rec(id), 'home', home, 'left', string.format('%.0f', left)) end
  redis.call('ZREM', p .. ':running', id)
end
log('set', id)
return {'granted', from}
`

/** ARGV: instance, length of the lease, then id and epoch of each. */
const renew = `${common}
local node, length = ARGV[1], tonumber(ARGV[2])
local t = now()
local answers = {}
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local found = redis.call('HMGET', rec(id), 'epoch', 'owner', 'intent')
  if found[1] == ARGV[i + 1] and (found[2] == node or found[2] == '') then
    redis.call('HSET', rec(id), 'owner', node)
    redis.call('ZADD', p .. ':leases', t + length, id)
    if redis.call('ZSCORE', p .. ':running', id) then redis.call('ZADD', p .. ':running', t + length, id) end
    answers[#answers + 1] = '+' .. (found[3] or '')
  else
    answers[#answers + 1] = found[1] and '-' or '?'
  end
end
return answers
`

/** ARGV: id, epoch, record, 1 to queue it anew, targets… */
const save = `${common}
local id = ARGV[1]
local epoch = redis.call('HGET', rec(id), 'epoch')
if not epoch then return {'gone'} end
if epoch ~= ARGV[2] then return {'stale'} end
if taken(id, 5) then return {'taken'} end
claim(id, 5)
redis.call('HSET', rec(id), 'record', ARGV[3])
if ARGV[4] == '1' then
  redis.call('HINCRBY', rec(id), 'generation', 1)
  if redis.call('HEXISTS', rec(id), 'left') == 1 then redis.call('HSET', rec(id), 'left', string.format('%.0f', now())) end
end
local revision = redis.call('HINCRBY', rec(id), 'revision', 1)
log('set', id)
return {'saved', revision, redis.call('HGET', rec(id), 'generation')}
`

/** ARGV: id, epoch. */
const release = `${common}
local id = ARGV[1]
local found = redis.call('HMGET', rec(id), 'epoch', 'owner', 'record')
if found[1] ~= ARGV[2] then return 0 end
local state = cjson.decode(found[3]).state
if state ~= 'completed' and state ~= 'canceled' and redis.call('ZSCORE', p .. ':running', id) then
  redis.call('HSET', rec(id), 'home', place(found[2]), 'left', string.format('%.0f', now()))
end
redis.call('HSET', rec(id), 'owner', '')
redis.call('HINCRBY', rec(id), 'revision', 1)
unlease(id)
log('free', id)
return 1
`

/** ARGV: id, epoch. */
const remove = `${common}
local id = ARGV[1]
local found = redis.call('HMGET', rec(id), 'epoch', 'revision')
if not found[1] then return 1 end
if found[1] ~= ARGV[2] then return 0 end
free(id)
unlease(id)
redis.call('DEL', rec(id))
redis.call('SREM', p .. ':ids', id)
log('del', id, found[2])
return 1
`

/** ARGV: id, intent, the instance that asks. */
const send = `${common}
local id = ARGV[1]
local found = redis.call('HMGET', rec(id), 'epoch', 'owner')
if not found[2] or found[2] == '' or found[2] == ARGV[3] then return 0 end
redis.call('HSET', rec(id), 'intent', ARGV[2])
log('intent', id, found[1] .. ' ' .. ARGV[2])
return 1
`

/** ARGV: id, call, answer. */
const answer = `${common}
local id = ARGV[1]
local intent = redis.call('HGET', rec(id), 'intent')
if intent and string.find(intent, ARGV[2], 1, true) then redis.call('HDEL', rec(id), 'intent') end
log('answer', id, ARGV[3])
return 1
`

/** ARGV: instance, for how long it may be the only one to do this. */
const reap = `${common}
local leader = redis.call('GET', p .. ':reaper')
if leader and leader ~= ARGV[1] then return {} end
redis.call('SET', p .. ':reaper', ARGV[1], 'PX', ARGV[2])
local freed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. ':leases', '-inf', now(), 'LIMIT', 0, 100)) do
  local ran = redis.call('ZSCORE', p .. ':running', id)
  unlease(id)
  if redis.call('EXISTS', rec(id)) == 1 then
    if ran then
      local owner = redis.call('HGET', rec(id), 'owner')
      redis.call('HSET', rec(id), 'dead', owner, 'home', place(owner), 'left', string.format('%.0f', now()))
    end
    redis.call('HSET', rec(id), 'owner', '')
    redis.call('HINCRBY', rec(id), 'revision', 1)
    freed[#freed + 1] = id
    freed[#freed + 1] = redis.call('HINCRBY', rec(id), 'generation', 1)
    log('free', id)
  end
end
return freed
`

/**
 * ARGV: id, record, revision, generation, epoch, its owner, 1 if that is who restores it, length of the lease, the node that
 * has begun it, targets…
 * Whoever holds the lease is right, and without one the first. An owner that has not come back yet has the time of a lease.
 */
const restore = `${common}
local id, node, holds = ARGV[1], ARGV[6], ARGV[7] == '1'
local found = redis.call('HMGET', rec(id), 'epoch', 'owner')
if found[1] and not (holds and (found[2] == '' or found[2] == node)) then return 0 end
if not found[1] and taken(id, 10) then return 0 end
claim(id, 10)
redis.call('HSET', rec(id), 'record', ARGV[2], 'revision', ARGV[3], 'generation', ARGV[4], 'epoch', ARGV[5], 'owner', node)
redis.call('HINCRBY', rec(id), 'generation', 1)
if ARGV[9] ~= '' then redis.call('HSET', rec(id), 'home', ARGV[9], 'left', string.format('%.0f', now())) end
redis.call('SADD', p .. ':ids', id)
if node ~= '' then
  redis.call('ZADD', p .. ':leases', now() + tonumber(ARGV[8]), id)
  redis.call('ZADD', p .. ':running', now() + tonumber(ARGV[8]), id)
end
log('set', id)
return 1
`

/** ARGV: name, instance, length. */
const lead = `${common}
local key = p .. ':lead:' .. ARGV[1]
local leader = redis.call('GET', key)
if leader and leader ~= ARGV[2] then return 0 end
redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
return 1
`

/** ARGV: name, instance. */
const resign = `${common}
local key = p .. ':lead:' .. ARGV[1]
if redis.call('GET', key) == ARGV[2] then redis.call('DEL', key) end
return 1
`

/** ARGV: name, value. */
const document = `${common}
redis.call('SET', p .. ':doc:' .. ARGV[1], ARGV[2])
log('doc', ARGV[1])
return 1
`

/** All scripts by name. */
export const scripts = {
  insert,
  begin,
  renew,
  save,
  release,
  remove,
  send,
  answer,
  reap,
  restore,
  lead,
  resign,
  document,
} as const
