-- Counting while closed: the mirror of window.go, which explains the scheme.

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
  if m.kind == 'time' then m.add_calls(1, m.failure_of(code), m.slow_of(code)) end
  m.remember_reporter()
  local cause = m.find_cause()
  if cause then m.open_circuit(cause) end
end
