-- Reading and writing the record. All reads come before the first write, and all
-- writes go into one HSET: a step is never half done, not even
-- if the server dies between two commands. Fields that are out of use go with one
-- HDEL after it: HDEL first would take the next write past the server's memory limit.

-- newer_layout returns the layout version that a head or a tally begins with, if it
-- is later than this release's. Both name it, because a step may read the one
-- without the other.
local function newer_layout(text)
  if not text or text:sub(1, 2) == '$SCHEMA ' then return nil end
  local version = text:match('^(%d+) ')
  return version and version + 0 > $SCHEMA and version + 0 <= $MAX_INT and version
end

-- is_foreign reports whether the hash belongs to others, if it has no readable head:
-- a record has at least its tally and an entry of its log. If one of these is
-- there, the head was damaged or removed, and the record is renewed.
local function is_foreign(tally)
  if tally then return false end
  local names = {}
  for i = 0, $LOG_SLOTS - 1 do names[i + 1] = string.format('log:%02d', i) end
  for _, entry in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
    if entry then return false end
  end
  return true
end

-- load_record reads the head, and the tally if the fast path did not read it. It
-- returns a reply if the key must not be touched: it holds another type, a hash of
-- others, or a record of a newer layout.
function m.load_record(tally)
  local head
  if tally then
    head = redis.call('HGET', KEYS[1], 'head')
  else
    local got = redis.pcall('HMGET', KEYS[1], 'head', 'tally')
    if got.err then
      local kind = redis.call('TYPE', KEYS[1]).ok
      if kind == 'hash' or kind == 'none' then return got end -- a right is missing
      return '!type ' .. kind
    end
    head, tally = got[1], got[2]
  end
  if not head then
    if redis.call('TYPE', KEYS[1]).ok == 'hash' and is_foreign(tally) then return '!type hash' end
    return
  end
  local version = newer_layout(head) or newer_layout(tally)
  if version then return '!schema ' .. version end
  m.exists = true
  parse_head(head)
  if not m.head_readable and is_foreign(tally) then return '!type hash' end
  m.tally = tally or ''
end

-- unused_fields returns the fields that the step took out of use, such as the ring of
-- a window that was emptied, but for those among the first n of args that it has
-- written again.
local function unused_fields(args, n)
  if n == 0 then return m.removed end
  local written, gone = {}, {}
  for i = 1, n, 2 do written[args[i]] = true end
  for _, field in ipairs(m.removed) do
    if not written[field] then gone[#gone + 1] = field end
  end
  return gone
end

-- save_record writes what the step changed, then the TTL, then publishes the
-- transitions. A user without the right to publish must not fail the step: the
-- reply says that its transition was not published.
function m.save_record()
  local args, n = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 0 -- as long as most steps need: it need not grow
  local function put(field, text)
    args[n + 1], args[n + 2] = field, text
    n = n + 2
  end
  if m.wrote_round then
    put('round', m.round_text())
    put('leases', m.leases_text())
  end
  if m.wrote_mode then put('mode', m.mode_text()) end
  if m.wrote_reporters then put('rep', m.reporters_text()) end
  for i, text in pairs(m.wrote_cells) do put(string.format('w%d', i), text) end
  local gone = m.removed
  if #gone > 0 then gone = unused_fields(args, n) end -- those that follow are never out of use
  if m.wrote_head then put('head', head_text()) end
  if m.wrote_tally and m.tally_readable then put('tally', tally_text()) end
  for i, t in ipairs(m.transitions) do
    if i == 1 then put('policy', p.text) end
    put(string.format('log:%02d', t.slot), t.entry)
  end
  if n > 0 then redis.call('HSET', KEYS[1], unpack(args, 1, n)) end
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
  if m.persist then redis.call('PERSIST', KEYS[1]) end
  if m.pexpire > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%d', m.pexpire)) end
  if #m.transitions == 0 then return end
  local channel = KEYS[1]:sub(1, KEYS[1]:find(':{', 1, true)) .. 'events'
  for _, t in ipairs(m.transitions) do
    local published = redis.pcall('PUBLISH', channel, KEYS[1] .. ' ' .. t.event)
    if type(published) == 'table' then m.unpublished = true end
  end
end
