-- Changes of state and mode: what transition.go does.

-- open begins an open period. code is the outcome that caused it: a failure may
-- carry its own open time.
function m.open(cause, code)
  m.leave_closed()
  local trips = math.min(m.trips + 1, 1000)
  local plan = m.planned(trips)
  local open_for = m.jittered(plan)
  if m.own_ms > 0 and (code == 'f' or code == 'F') then
    open_for = math.min(math.max(plan, m.own_ms), p.max_ms)
  end
  m.open_until(trips, open_for, cause)
end

-- leave_closed starts a new row of opens if the circuit was closed for at least
-- as long as it was last open. Nothing else ages trips.
function m.leave_closed()
  if m.state == 'closed' and m.now - m.since >= m.open_for then m.trips = 0 end
end

-- planned is the length of the trips-th open in a row.
function m.planned(trips)
  local ms = p.open_ms
  for _ = 2, trips do
    if ms >= p.max_ms or p.multiplier == SCALE then break end
    ms = math.floor(ms * p.multiplier / SCALE)
  end
  return math.min(ms, p.max_ms)
end

-- jittered shortens an open period by a random share.
function m.jittered(plan)
  return math.max(1, plan - math.floor(math.floor(plan * p.jitter / SCALE) * math.floor(m.rnd / 1024) / 1024))
end

-- open_until opens for open_for ms as the trips-th open in a row.
function m.open_until(trips, open_for, cause)
  m.transition('open', m.mode, cause)
  m.until_ms, m.open_for, m.trips = m.now + open_for, open_for, trips
end

-- closed ends a round that succeeded. trips and open_for stay: they are the
-- memory of the backoff.
function m.closed(cause)
  m.transition('closed', m.mode, cause)
  m.until_ms = 0
end

-- forget closes, and forgets the row of opens too.
function m.forget(mode, cause)
  m.transition('closed', mode, cause)
  m.until_ms, m.open_for, m.trips = 0, 0, 0
end

-- release returns to auto, closed and forgotten.
function m.release(cause)
  m.forget('auto', cause)
  m.mode_until, m.mode_for, m.mode_reason, m.mode_by = 0, 0, '-', '-'
end

-- renew makes a record that is absent, or that does not read well, anew. A mode
-- that reads well and has not ended survives, and so do the log and the epoch.
function m.renew(cause)
  if not m.exists or not m.head_reads then
    m.exists = true
    m.newest = m.latest()
  end
  local mode = m.surviving_mode()
  local state = 'closed'
  if p.start_open == 1 and (mode == 'auto' or mode == 'shadow') then state = 'open' end
  m.expires = 0
  m.transition(state, mode, cause)
  m.until_ms, m.open_for, m.trips = 0, 0, 0
  if state == 'open' then
    m.until_ms, m.open_for, m.trips = m.now + p.open_ms, p.open_ms, 1
  end
end

-- surviving_mode is the mode that a renewed record keeps.
function m.surviving_mode()
  if m.mode ~= 'auto' and m.read_mode() then
    if m.mode_until > m.now + m.mode_for then
      m.mode_until = m.now + m.mode_for
      m.wrote_mode = true
    end
    if m.mode_until == 0 or m.now < m.mode_until then return m.mode end
  end
  m.mode_until, m.mode_for, m.mode_reason, m.mode_by = 0, 0, '-', '-'
  return 'auto'
end

-- transition changes state or mode: a new epoch, an entry in the log, and all
-- that belonged to the old epoch emptied.
function m.transition(to, mode, cause)
  local from, from_mode, tally = m.state, m.mode, m.tallies(cause)
  m.epoch = m.next_epoch(m.epoch)
  m.state, m.mode = to, mode
  m.since = m.now
  m.fingerprint = p.fingerprint
  m.empty()
  m.streak, m.seq, m.at, m.next = 0, 0, 0, 0
  m.head_reads, m.tally_reads = true, true
  m.record(m.place(from, from_mode) .. '>' .. m.place(to, mode), cause, tally)
  m.wrote, m.wrote_head, m.wrote_tally, m.bounded = true, true, true, true
end

-- next_epoch changes with every transition. Its random part keeps a record that
-- was flushed or rolled back from repeating an epoch, but for 1 in 1024.
function m.next_epoch(old)
  local epoch = math.max(m.now * 1024, old + 1) + m.rnd % 1024
  if epoch > MAX_EPOCH then epoch = m.now * 1024 + m.rnd % 1024 end
  return epoch
end
