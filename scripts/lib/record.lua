-- The record as text: what codec.go reads and writes. head and tally are read
-- by every script; the other fields only by the step that needs them, and a
-- field that does not read well begins the record anew only then.

local SCHEMA = 1
local MAX_INT = 9007199254740991 -- numbers are exact below 2^53
local MAX_EPOCH = 4503599627370496
local BUCKETS = 10
local CHUNK = 128
local MAX_GRANT = 2147483648
local MAX_TTL = 3 * MAX_MS
local NO_WINDOW = 'none/0 stood=0 cell=0 clean=0 calls=0/0 fail=0/0 slow=0/0 at=' -- of a tally

local function known_state(name) return name == 'closed' or name == 'open' or name == 'half_open' end

local function known_mode(name)
  return name == 'auto' or name == 'forced_open' or name == 'forced_closed' or name == 'shadow'
end

-- m is the step in progress: first the record, all times in ms of the server's
-- clock, then what the step has done; and it has the functions of the machine.
-- What a mode or a round of probes carries is set where it is read or begun: with
-- all that one step may need, m stays within 128 fields, where its table would grow.
local m = {
  exists = false, head_reads = true, tally = '', tally_reads = true,
  state = 'closed', mode = 'auto', epoch = 0, fingerprint = '', since = 0, until_ms = 0, open_for = 0, trips = 0, newest = 0,
  mode_until = 0,
  streak = 0, seq = 0, kind = 'none', size = 0, stood = 0, cell = 0, clean = 0,
  calls_now = 0, calls_all = 0, fails_now = 0, fails_all = 0, slows_now = 0, slows_all = 0,
  at = 0, next = 0, expires = 0, reporters = false, mode_reads = 'unread',

  now = 0, rnd = 0, reporter = '-', failure_text = '-', failure_ms = 0, by = '-', text = '-', own_ms = 0,
  wrote = false, wrote_head = false, wrote_tally = false, wrote_round = false, wrote_mode = false, wrote_reporters = false,
  wrote_cells = {}, cells = {}, bounded = false, persist = false, pexpire = 0, moves = {}, applied = 0, stale = 0,
}

local p -- the rules of the caller's policy

-- bucket_ms is the length of one of the ten buckets of a time window.
local function bucket_ms(size) return math.floor((size + BUCKETS - 1) / BUCKETS) end

-- counting tells whether outcomes without a lease are counted.
local function counting() return m.state == 'closed' and (m.mode == 'auto' or m.mode == 'shadow') end

-- fence is the epoch that the tally carries, so that reading the tally alone
-- decides about an outcome: 0 unless closed and auto.
local function fence()
  if m.state == 'closed' and m.mode == 'auto' then return m.epoch end
  return 0
end

local function sound_head()
  return within(m.epoch, 1, MAX_EPOCH) and m.since <= MAX_INT and m.until_ms <= MAX_INT and
    m.open_for <= MAX_MS and m.trips <= 1000 and m.newest < 16 and
    (m.trips == 0 or m.open_for > 0) and
    (m.state == 'open') == (m.until_ms > 0) and (m.state ~= 'open' or m.trips > 0) and
    (m.state == 'closed' or m.mode == 'auto' or m.mode == 'shadow')
end

-- sound_tally tells whether an honest step could have written the tally.
local function sound_tally()
  if m.streak > m.seq or not sound_shape(m.kind, m.size) or
    m.fails_now > m.calls_now or m.slows_now > m.calls_now or m.fails_all > m.calls_all or m.slows_all > m.calls_all or
    m.calls_now > m.calls_all or m.fails_now > m.fails_all or m.slows_now > m.slows_all then
    return false
  end
  if m.kind == 'count' then
    local bad = m.fails_all + m.slows_all
    local full = m.calls_all == m.size
    return m.calls_now == 0 and m.calls_all <= m.size and m.clean <= m.calls_all and
      (full and m.cell < m.size or not full and m.cell == m.calls_all) and
      (bad == 0) == (m.clean == m.calls_all) and math.max(m.fails_all, m.slows_all) <= m.calls_all - m.clean
  elseif m.kind == 'time' then
    return m.clean == 0
  end
  return m.stood == 0 and m.cell == 0 and m.clean == 0 and m.calls_all == 0
end

local function clear_tally()
  m.streak, m.seq, m.kind, m.size, m.stood, m.cell, m.clean, m.at, m.next = 0, 0, 'none', 0, 0, 0, 0, 0, 0
  m.calls_now, m.calls_all, m.fails_now, m.fails_all, m.slows_now, m.slows_all = 0, 0, 0, 0, 0, 0
end

local function parse_head(text)
  local version, state, mode, epoch, fingerprint, place = text:match(
    '^(%d+) (%S+) (%S+) epoch=(%d+) policy=([%w%._%%-]+) since=()')
  local since, until_ms, open_for, trips, newest = text:match('^(%d+) until=(%d+) open_for=(%d+) trips=(%d+) log=(%d+)$', place)
  if version and newest and version + 0 == SCHEMA and known_state(state) and known_mode(mode) then
    m.state, m.mode, m.epoch, m.fingerprint = state, mode, epoch + 0, fingerprint
    m.since, m.until_ms, m.open_for, m.trips, m.newest = since + 0, until_ms + 0, open_for + 0, trips + 0, newest + 0
    if sound_head() then return end
  end
  m.head_reads = false
  m.salvage(text)
end

-- read_tally reads the text's numbers into m, of which those of a window that
-- stands empty are there. It returns the epoch, the fingerprint and the largest
-- number, or nil.
local function read_tally(text)
  local epoch, fingerprint, streak, seq, place = text:match('^epoch=(%d+) policy=([%w%._%%-]+) streak=(%d+) seq=(%d+) win=()')
  if not epoch then return nil end
  local largest = 0
  local start, stop = text:find(NO_WINDOW, place, true)
  if start == place then
    place = stop + 1
  else
    local kind, size, stood, cell, place2 = text:match('^([%w%._%%-]+)/(%d+) stood=(%d+) cell=(%d+) clean=()', place)
    local clean, calls_now, calls_all, fails_now, place3 = text:match('^(%d+) calls=(%d+)/(%d+) fail=(%d+)/()', place2)
    local fails_all, slows_now, slows_all, place4 = text:match('^(%d+) slow=(%d+)/(%d+) at=()', place3)
    if not place4 then return nil end
    m.kind, m.size, m.stood, m.cell, m.clean = kind, size + 0, stood + 0, cell + 0, clean + 0
    m.calls_now, m.calls_all, m.fails_now, m.fails_all = calls_now + 0, calls_all + 0, fails_now + 0, fails_all + 0
    m.slows_now, m.slows_all = slows_now + 0, slows_all + 0
    largest = math.max(m.size, m.stood, m.cell, m.clean, m.calls_now, m.calls_all, m.fails_now, m.fails_all, m.slows_now, m.slows_all)
    place = place4
  end
  local at, next, expires = text:match('^(%d+) next=(%d+) expires=(%d+)$', place)
  if not at then return nil end
  m.streak, m.seq, m.at, m.next, m.expires = streak + 0, seq + 0, at + 0, next + 0, expires + 0
  return epoch + 0, fingerprint, math.max(epoch + 0, m.streak, m.seq, m.at, m.next, m.expires, largest)
end

function m.parse_tally(text)
  local epoch, fingerprint, largest = read_tally(text)
  local reads = epoch and largest <= MAX_INT and
    (not counting() or epoch == fence() and fingerprint == m.fingerprint and sound_tally())
  if not reads then m.tally_reads, m.expires = false, 0 end
  if not reads or not counting() then clear_tally() end
end

-- load reads head and tally, if the tally is not known yet. It returns a reply if
-- the key is not ours to work on.
function m.load(tally)
  local head
  if tally then
    head = redis.call('HGET', KEYS[1], 'head')
  else
    local got = redis.pcall('HMGET', KEYS[1], 'head', 'tally')
    if got.err then
      local kind = redis.call('TYPE', KEYS[1]).ok
      if kind == 'hash' then return got end
      return '!type ' .. kind
    end
    head, tally = got[1], got[2]
  end
  if not head then return end
  if head:sub(1, 2) ~= '1 ' then
    local version = head:match('^(%d+) ')
    if version and version + 0 > SCHEMA and version + 0 <= MAX_INT then return '!schema ' .. version end
  end
  m.exists = true
  parse_head(head)
  m.tally = tally or ''
end

local function head_text()
  return '1 ' .. m.state .. ' ' .. m.mode .. string.format(' epoch=%d policy=', m.epoch) .. m.fingerprint ..
    string.format(' since=%d until=%d open_for=%d trips=%d log=%d', m.since, m.until_ms, m.open_for, m.trips, m.newest)
end

local function tally_text()
  if m.seq == 0 and m.kind == 'none' then
    return string.format('epoch=%d policy=%s streak=0 seq=0 win=' .. NO_WINDOW .. '%d next=%d expires=%d', fence(),
      m.fingerprint, m.at, m.next, m.expires)
  end
  return string.format('epoch=%d policy=%s streak=%d seq=%d win=%s/%d stood=%d cell=%d clean=%d calls=%d/%d fail=%d/%d ' ..
    'slow=%d/%d at=%d next=%d expires=%d', fence(), m.fingerprint, m.streak, m.seq, m.kind, m.size, m.stood, m.cell, m.clean,
    m.calls_now, m.calls_all, m.fails_now, m.fails_all, m.slows_now, m.slows_all, m.at, m.next, m.expires)
end

-- save writes what the step changed: one HSET, so that nothing is ever half
-- written; then the TTL; then it tells of the transitions. Nobody may be
-- listening or allowed to publish: that must not harm the step.
function m.save()
  local args, n = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 0 -- made as long as most steps need it
  local function put(field, text)
    args[n + 1], args[n + 2] = field, text
    n = n + 2
  end
  if m.wrote_head then put('head', head_text()) end
  if m.wrote_tally and m.tally_reads then put('tally', tally_text()) end
  if m.wrote_round then put('round', m.round_text()) end
  if m.wrote_mode then
    put('mode', string.format('until=%d for=%d reason=%s by=%s', m.mode_until, m.mode_for, m.mode_reason, m.mode_by))
  end
  if m.wrote_reporters then put('rep', #m.reporters > 0 and m.reporters_text() or '') end
  for i, text in pairs(m.wrote_cells) do put(string.format('w%d', i), text) end
  for i, t in ipairs(m.moves) do
    if i == 1 then put('policy', p.text) end
    put(string.format('log:%02d', t.slot), t.entry)
  end
  if n > 0 then redis.call('HSET', KEYS[1], unpack(args, 1, n)) end
  if m.persist then redis.call('PERSIST', KEYS[1]) end
  if m.pexpire > 0 then redis.call('PEXPIRE', KEYS[1], string.format('%d', m.pexpire)) end
  if #m.moves == 0 then return end
  local channel = KEYS[1]:sub(1, KEYS[1]:find(':{', 1, true)) .. 'events'
  for _, t in ipairs(m.moves) do redis.pcall('PUBLISH', channel, KEYS[1] .. ' ' .. t.entry) end
end
