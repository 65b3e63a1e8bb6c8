-- The round of probes as text: the mirror of round.go.

-- free_slots returns how many probes may be granted now: of n slots, those that are
-- neither held by a live lease nor settled. A late result can settle while its
-- former slot belongs to another probe; the sum is then above n, and no slot is
-- free.
function m.free_slots()
  local live = 0
  for _, l in ipairs(m.leases) do
    if m.now < l.deadline then live = live + 1 end
  end
  return math.max(0, m.probes - live - m.succeeded - m.failed)
end

-- earliest_deadline returns the deadline of the live lease that ends first; 0 if
-- there is none.
function m.earliest_deadline()
  local first = 0
  for _, l in ipairs(m.leases) do
    if m.now < l.deadline and (first == 0 or l.deadline < first) then first = l.deadline end
  end
  return first
end

-- probe_hint_ms returns the retry hint of a round with no free slot: the time to
-- the end of the earliest lease, but no more than the round has lasted so far. A
-- probe may settle at any moment, so a caller that waited for a whole lease would
-- be late by far after a quick recovery; a hint that doubles as the round grows
-- costs few calls more. It is at least MIN_PROBE_HINT_MS unless the lease ends
-- sooner.
function m.probe_hint_ms(now)
  return math.max(0, math.min(m.earliest_deadline() - now, math.max($MIN_PROBE_HINT_MS, now - m.since)))
end

-- first_deadline returns the deadline of the first outstanding lease,
-- last_deadline of the last one; 0 if there is none.
function m.first_deadline() return #m.leases > 0 and m.leases[1].deadline or 0 end

function m.last_deadline() return #m.leases > 0 and m.leases[#m.leases].deadline or 0 end

-- parse_leases reads leases, which are in the order of their grants. last is the
-- grant before the first of them; it returns that of the last one too.
local function parse_leases(text, last)
  local list = {}
  if text == '-' then return list, last end
  for part in (text .. ','):gmatch('([^,]*),') do
    local grant, deadline = part:match('^(%d+)@(%d+)$')
    if not grant or not within(grant + 0, last + 1, m.grants) or deadline + 0 > $MAX_INT then return nil end
    last = grant + 0
    list[#list + 1] = { grant = last, deadline = deadline + 0 }
  end
  return list, last
end

-- is_sound_round reports whether an honest step could have written the round. A
-- round that fails this could never end.
local function is_sound_round()
  for i = 2, #m.leases do
    if m.leases[i].deadline < m.leases[i - 1].deadline then return false end
  end
  return within(m.probes, 1, $MAX_PROBES) and within(m.successes, 1, m.probes) and within(m.lease_ms, 1, $MAX_MS) and
    m.grants <= $MAX_GRANT and m.lapsed <= m.grants and m.succeeded < m.successes and m.failed <= m.probes - m.successes and
    #m.leases <= m.probes and #m.late <= math.min(m.probes, m.lapsed)
end

-- parse_round reads the round and its leases; it returns false if they are damaged.
-- Leases lapse in the order of their grants, so the late ones come before those that
-- are outstanding. They are a field of their own, so that a script rejects a call
-- without reading them: the round has the number of the outstanding ones, and the
-- first and the last deadline.
function m.parse_round()
  local got = redis.call('HMGET', KEYS[1], 'round', 'leases')
  local text = got[1] or ''
  local probes, successes, lease_ms, grants, place = text:match('^probes=(%d+) successes=(%d+) lease=(%d+) grants=(%d+) succeeded=()')
  local succeeded, failed, lapsed, place = text:match('^(%d+) failed=(%d+) lapsed=(%d+) held=()', place)
  local held, first, last = text:match('^(%d+) first=(%d+) last=(%d+)$', place)
  if not probes or not succeeded or not held then return false end
  m.probes, m.successes, m.lease_ms, m.grants = probes + 0, successes + 0, lease_ms + 0, grants + 0
  m.succeeded, m.failed, m.lapsed = succeeded + 0, failed + 0, lapsed + 0
  return m.parse_lists(got[2] or '') and is_sound_round() and
    held + 0 == #m.leases and first + 0 == m.first_deadline() and last + 0 == m.last_deadline()
end

-- parse_lists reads the late leases and the outstanding ones.
function m.parse_lists(text)
  local late, leases = text:match('^late=([%d@,-]+) held=([%d@,-]+)$')
  if not late then return false end
  local late_list, last = parse_leases(late, 0)
  local lease_list = late_list and parse_leases(leases, last)
  if not lease_list then return false end
  m.late, m.leases = late_list, lease_list
  return true
end

-- round_text writes the round without its leases.
function m.round_text()
  return string.format('probes=%d successes=%d lease=%d grants=%d succeeded=%d failed=%d lapsed=%d held=%d first=%d last=%d',
    m.probes, m.successes, m.lease_ms, m.grants, m.succeeded, m.failed, m.lapsed, #m.leases, m.first_deadline(), m.last_deadline())
end

-- list_text writes leases.
local function list_text(list)
  if #list == 0 then return '-' end
  local texts = {}
  for i, l in ipairs(list) do texts[i] = string.format('%d@%d', l.grant, l.deadline) end
  return table.concat(texts, ',')
end

-- leases_text writes the late leases and the outstanding ones.
function m.leases_text() return 'late=' .. list_text(m.late) .. ' held=' .. list_text(m.leases) end
