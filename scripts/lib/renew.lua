-- How a record begins again: the mirror of renew.go.

-- reset_circuit closes the circuit and clears the row of opens. mode_ms is the
-- length of a mode that begins with it.
function m.reset_circuit(mode, cause, mode_ms)
  m.make_transition('closed', mode, cause, mode_ms)
  m.until_ms, m.open_for, m.trips = 0, 0, 0
end

-- release_mode returns to auto, closed and without memory: a mode may have
-- hidden the dependency for hours, and what was counted before says nothing
-- about now.
function m.release_mode(cause)
  m.reset_circuit('auto', cause, 0)
  m.mode_until, m.mode_for, m.mode_reason, m.mode_by = 0, 0, '-', '-'
end

-- renew_record creates a record that is absent, or replaces one that is
-- damaged. The log, the epoch and a sound mode that has not ended survive,
-- because losing an operator's decision is worse than losing counts. So the
-- policy's initial mode applies only to a record that is created: a damaged one may
-- have been released from it.
function m.renew_record(cause)
  if not m.exists or not m.head_readable then
    m.exists = true
    m.newest = m.find_newest()
  end
  local mode = m.keep_valid_mode()
  if cause == 'created' and p.initial_mode ~= 'auto' then
    mode, m.mode_reason, m.mode_by, m.mode_for, m.wrote_mode = p.initial_mode, 'initial', '-', 0, true
  end
  local state, open_for = 'closed', 0
  if mode == 'auto' or mode == 'shadow' then state = p.initial_state end
  if state == 'open' then open_for = p.open_ms end
  m.expires = 0
  m.make_transition(state, mode, cause, open_for)
  m.until_ms, m.open_for, m.trips = 0, 0, 0
  if state == 'open' then
    m.until_ms, m.open_for, m.trips = m.now + open_for, open_for, 1
  end
  if state == 'half_open' then m.begin_round(p.probes, p.successes, p.lease_ms) end
end

-- keep_valid_mode returns the mode that a renewed record keeps, and clears its
-- details if it keeps none.
function m.keep_valid_mode()
  if m.mode ~= 'auto' and m.parse_mode() then
    if m.mode_until > m.now + m.mode_for then
      m.mode_until = m.now + m.mode_for
      m.wrote_mode = true
    end
    if m.mode_until == 0 or m.now < m.mode_until then return m.mode end
  end
  m.mode_until, m.mode_for, m.mode_reason, m.mode_by = 0, 0, '-', '-'
  return 'auto'
end

-- find_newest returns the number of the newest entry without the help of the head,
-- for a record whose head is lost; 0 if there is none. An entry counts only in the
-- slot that its number gives.
function m.find_newest()
  local newest, epoch = 0, 0
  for i = 0, $LOG_SLOTS - 1 do
    local entry = redis.call('HGET', KEYS[1], string.format('log:%02d', i)) or ''
    local n, e = entry:match('^(%d+) (%d+) ')
    if n and within(n + 0, 1, $MAX_NUMBER) and n % $LOG_SLOTS == i and e + 0 <= $MAX_INT and e + 0 > epoch then
      newest, epoch = n + 0, e + 0
    end
  end
  return newest
end
