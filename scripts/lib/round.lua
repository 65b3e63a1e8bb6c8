-- The round of probes as text: the mirror of round.go.

-- free_slots returns how many probes may still be granted.
function m.free_slots() return m.probes - #m.leases - m.succeeded - m.failed end

-- earliest_deadline returns the deadline of the lease that ends first; 0 if
-- there is none.
function m.earliest_deadline()
  local first = 0
  for _, l in ipairs(m.leases) do
    if first == 0 or l.deadline < first then first = l.deadline end
  end
  return first
end

-- parse_leases reads leases, which are in the order of their grants.
local function parse_leases(text)
  m.leases = {}
  if text == '-' then return true end
  local last = 0
  for part in (text .. ','):gmatch('([^,]*),') do
    local grant, deadline = part:match('^(%d+)@(%d+)$')
    if not grant or not within(grant + 0, last + 1, m.grants) or deadline + 0 > $MAX_INT then return false end
    last = grant + 0
    m.leases[#m.leases + 1] = { grant = last, deadline = deadline + 0 }
  end
  return true
end

-- is_sound_round reports whether an honest step could have written the round. A
-- round that fails this could never end.
local function is_sound_round()
  return within(m.probes, 1, $MAX_PROBES) and within(m.successes, 1, m.probes) and within(m.lease_ms, 1, $MAX_MS) and
    m.grants <= $MAX_GRANT and m.lapsed <= m.grants and m.succeeded < m.successes and
    m.failed <= m.probes - m.successes and m.free_slots() >= 0
end

-- parse_round reads the round.
function m.parse_round()
  local text = redis.call('HGET', KEYS[1], 'round') or ''
  local probes, successes, lease_ms, grants, place = text:match('^probes=(%d+) successes=(%d+) lease=(%d+) grants=(%d+) succeeded=()')
  local succeeded, failed, lapsed, leases = text:match('^(%d+) failed=(%d+) lapsed=(%d+) leases=([%d@,-]+)$', place)
  if not probes or not leases then return false end
  m.probes, m.successes, m.lease_ms, m.grants = probes + 0, successes + 0, lease_ms + 0, grants + 0
  m.succeeded, m.failed, m.lapsed = succeeded + 0, failed + 0, lapsed + 0
  return parse_leases(leases) and is_sound_round()
end

-- round_text writes the round.
function m.round_text()
  local leases = {}
  for i, l in ipairs(m.leases) do leases[i] = string.format('%d@%d', l.grant, l.deadline) end
  local list = table.concat(leases, ',')
  if list == '' then list = '-' end
  return string.format('probes=%d successes=%d lease=%d grants=%d succeeded=%d failed=%d lapsed=%d leases=%s', m.probes,
    m.successes, m.lease_ms, m.grants, m.succeeded, m.failed, m.lapsed, list)
end
