-- Counting while closed: the mirror of window.go, which explains the scheme.
-- A bucket or a part of the ring is read from Redis when it is needed.

-- failure_of returns 1 for a failure, else 0.
local function failure_of(code)
  if code == 'f' or code == 'F' then return 1 end
  return 0
end

-- slow_of returns 1 for a slow call, else 0.
local function slow_of(code)
  if code == 'S' or code == 'F' then return 1 end
  return 0
end

-- settle_closed counts n equal outcomes of a closed circuit. It judges each
-- failure and each slow call, and stops at the one that opens the circuit; the
-- rest of the run is stale. Outcomes are numbered (seq) where a rule may ask
-- how long ago one was: each failure and slow call, and in a count window each
-- success that changes the ring. TripNow is neither counted nor judged: it is the
-- dependency's word and not a host's guess, so no threshold gates it.
function m.settle_closed(code, n)
  if not m.tally_readable then
    m.renew_record('healed')
    return
  end
  if code == 'i' then
    m.applied = m.applied + n
    return
  end
  if code == 't' then
    m.applied = m.applied + 1
    m.open_circuit('demanded')
    return
  end
  local first = true
  while n > 0 and #m.transitions == 0 do
    -- Within a run only a window of another shape can change for the next outcome.
    if (first or not m.same_shape()) and not m.advance_window() then
      m.renew_record('healed')
      return
    end
    local part = 1
    if code == 's' then
      part = math.min(n, m.outcomes_until_turn())
      m.count_successes(part)
    else
      m.count_bad_outcome(code)
    end
    n, first = n - part, false
  end
end

-- outcomes_until_turn returns how many outcomes the window takes before the
-- policy's shape may replace its own: until a count window that has stood long
-- enough is full. A batch must equal its outcomes one by one, so a run is cut
-- there.
function m.outcomes_until_turn()
  if m.kind == 'count' and p.kind ~= 'none' and not m.same_shape() and m.calls_all < m.size then
    return m.size - m.calls_all
  end
  return $MAX_INT
end

-- advance_window brings the window to the present: it repairs times after a
-- clock that went back, gives another policy's shape its turn, and moves to the
-- current bucket. It returns false if a bucket is damaged.
function m.advance_window()
  if m.kind ~= 'none' then
    if m.cap_time(m, 'shape_since', m.now) then m.wrote_tally = true end
  end
  if m.kind == 'time' and m.cell * bucket_ms(m.size) > m.now + m.size then m.clear_window() end
  if m.kind ~= 'none' and p.kind ~= 'none' and not m.same_shape() and m.may_change_shape() then m.clear_window() end
  if m.kind == 'none' then m.set_shape(p.kind, p.size) end
  if m.kind == 'time' and math.floor(m.now / bucket_ms(m.size)) > m.cell then
    return m.rotate_buckets(math.floor(m.now / bucket_ms(m.size)))
  end
  return true
end

function m.same_shape() return m.kind == p.kind and m.size == p.size end

-- may_change_shape reports whether another shape may take the window's place.
-- Two policies under one name would otherwise empty each other's window with
-- every outcome; so a time window keeps its shape for its period, a count
-- window until it is full or an hour old, and both for at least a minute.
function m.may_change_shape()
  local age = m.now - m.shape_since
  if age < $MIN_SHAPE_MS then return false end
  if m.kind == 'time' then return age >= m.size end
  return m.calls_all == m.size or age >= $MAX_SHAPE_MS
end

-- clear_window empties window and reporters, and with them the window's shape.
function m.clear_window()
  m.remove_window()
  m.kind, m.size, m.shape_since, m.cell, m.clean = 'none', 0, 0, 0, 0
  m.calls_current, m.calls_all, m.fails_current, m.fails_all, m.slows_current, m.slows_all = 0, 0, 0, 0, 0, 0
  m.cells, m.wrote_cells, m.reporters = {}, {}, {}
  m.wrote, m.wrote_tally, m.wrote_reporters, m.resets_fast = true, true, false, true
end

-- remove_window takes the fields of the window and the reporters out of use. Those
-- of a record whose tally is damaged may be any.
function m.remove_window()
  local fields = 0
  if m.exists and not m.tally_readable then
    fields = math.ceil($MAX_CALLS / $CHUNK)
  elseif m.kind == 'time' then
    fields = $BUCKETS
  elseif m.kind == 'count' then
    fields = math.ceil(m.calls_all / $CHUNK)
  end
  m.removed[#m.removed + 1] = 'rep'
  for i = 0, fields - 1 do m.removed[#m.removed + 1] = string.format('w%d', i) end
end

-- set_shape gives an empty window its shape.
function m.set_shape(kind, size)
  if kind == 'none' then return end
  m.kind, m.size, m.shape_since = kind, size, m.now
  if kind == 'time' then
    m.cell = math.floor(m.now / bucket_ms(size))
    for i = 0, $BUCKETS - 1 do m.removed[#m.removed + 1] = string.format('w%d', i) end -- left by an earlier window
  end
  m.wrote, m.wrote_tally, m.resets_fast = true, true, true
end

-- rotate_buckets stores the current bucket and adds up the buckets that the
-- window still covers. It adds them up instead of subtracting those that leave,
-- so that a damaged sum does not live on. It returns false if one of them is
-- damaged.
function m.rotate_buckets(bucket)
  local cells = m.parse_cells()
  if not cells then return false end
  local put = { bucket = m.cell, calls = m.calls_current, fails = m.fails_current, slows = m.slows_current }
  cells[m.cell % $BUCKETS] = put
  m.wrote_cells[m.cell % $BUCKETS] = m.cell_text(put)
  local calls, fails, slows = 0, 0, 0
  for _, c in pairs(cells) do
    if c.bucket > bucket - $BUCKETS and c.bucket < bucket then
      calls, fails, slows = calls + c.calls, fails + c.fails, slows + c.slows
    end
  end
  if calls > $MAX_TALLY then return false end -- no honest window counts so many
  m.cell = bucket
  m.calls_current, m.fails_current, m.slows_current = 0, 0, 0
  m.calls_all, m.fails_all, m.slows_all = calls, fails, slows
  m.wrote, m.wrote_tally, m.resets_fast = true, true, true
  return true
end

-- count_successes counts n fast successes. They are not judged: no rule can
-- begin to apply because of a success. A count window that holds nothing but
-- successes stays as it is, so that a healthy breaker writes nothing.
function m.count_successes(n)
  if m.streak > 0 then
    m.streak = 0
    m.wrote, m.wrote_tally = true, true
  end
  if m.kind == 'time' then
    m.add_calls(n, 0, 0)
  elseif m.kind == 'count' then
    local moved = math.min(n, m.size - m.clean)
    local pushed = moved
    if moved == m.size - m.clean and moved > $CHUNK then
      m.fill_ring(moved)
    else
      pushed = m.push_outcomes('s', moved)
    end
    m.seq = m.seq + pushed
    m.clean = m.clean + pushed
    if pushed < moved then
      m.applied = m.applied + pushed
      m.renew_record('healed')
      return
    end
  end
  m.applied = m.applied + n
end

-- fill_ring puts n successes into a ring that then holds nothing else, so that it does
-- not have to read what they replace.
function m.fill_ring(n)
  while n > 0 do
    local i, from = math.floor(m.cell / $CHUNK), m.cell % $CHUNK
    local text = ('s'):rep(math.min($CHUNK, m.size - i * $CHUNK))
    m.cells[i], m.wrote_cells[i] = text, text
    local part = math.min(n, $CHUNK - from, m.size - m.cell)
    m.cell, n = (m.cell + part) % m.size, n - part
  end
  m.calls_all, m.fails_all, m.slows_all = m.size, 0, 0
  m.wrote, m.wrote_tally = true, true
end

-- count_bad_outcome counts one failure or slow call and judges it.
function m.count_bad_outcome(code)
  local unread = p.reporters > 1 and not m.parse_reporters()
  if unread or m.kind == 'count' and m.push_outcomes(code, 1) == 0 then
    m.renew_record('healed')
    return
  end
  m.applied = m.applied + 1
  m.wrote, m.wrote_tally = true, true
  m.seq = m.seq + 1
  m.streak = m.streak + 1
  if code == 'S' then m.streak = 0 end
  m.clean = 0
  if m.kind == 'time' then m.add_calls(1, failure_of(code), slow_of(code)) end
  m.remember_reporter()
  local cause = m.find_cause()
  if cause then m.open_circuit(cause) end
end

-- add_calls adds to the current bucket and to the whole window. A window that holds
-- MAX_TALLY calls takes in no more until some leave it: the rates of so many calls do
-- not change by a few, and a sum beyond it would be taken for damage.
function m.add_calls(calls, fails, slows)
  local n = math.min(calls, $MAX_TALLY - m.calls_all)
  if n < calls then fails, slows = 0, 0 end
  calls = n
  m.calls_current, m.calls_all = m.calls_current + calls, m.calls_all + calls
  m.fails_current, m.fails_all = m.fails_current + fails, m.fails_all + fails
  m.slows_current, m.slows_all = m.slows_current + slows, m.slows_all + slows
  m.wrote, m.wrote_tally = true, true
end

-- push_outcomes puts n equal outcomes into the ring of a count window, each in
-- place of the oldest once the ring is full. It returns how many it put in:
-- fewer if a part of the ring is damaged.
function m.push_outcomes(code, n)
  local pushed = 0
  while pushed < n do
    local part = math.min(n - pushed, $CHUNK - m.cell % $CHUNK, m.size - m.cell)
    if not m.push_within_chunk(code, part) then break end
    pushed = pushed + part
  end
  return pushed
end

-- push_within_chunk puts n outcomes into one field of the ring. It returns
-- false if that field is damaged.
function m.push_within_chunk(code, n)
  local i, from = math.floor(m.cell / $CHUNK), m.cell % $CHUNK
  local full = m.calls_all == m.size
  local text = ''
  if full or from > 0 then
    text = m.parse_chunk(i)
    if not text then return false end
  end
  local fails, slows = 0, 0
  if full then
    local old = text:sub(from + 1, from + n)
    local _, count = old:gsub('[fF]', '')
    fails = count
    _, count = old:gsub('[SF]', '')
    slows = count
    if fails > m.fails_all or slows > m.slows_all then return false end
  else
    m.calls_all = m.calls_all + n
  end
  text = text:sub(1, from) .. code:rep(n) .. text:sub(from + n + 1)
  m.cells[i], m.wrote_cells[i] = text, text
  m.fails_all = m.fails_all + n * failure_of(code) - fails
  m.slows_all = m.slows_all + n * slow_of(code) - slows
  m.cell = (m.cell + n) % m.size
  m.wrote, m.wrote_tally = true, true
  return true
end
