-- Changes of state and mode: the mirror of transition.go.

-- open_circuit begins an open period. A failure's own open time, such as a
-- Retry-After, takes the place of the policy's, be it longer or shorter. It is
-- lengthened by the backoff, and not jittered.
function m.open_circuit(cause)
  m.expire_trips()
  local trips = math.min(m.trips + 1, $MAX_TRIPS)
  if m.own_ms > 0 then
    m.begin_open(trips, m.planned_open_ms(m.own_ms, trips), cause)
    return
  end
  m.begin_open(trips, m.apply_jitter(m.planned_open_ms(p.open_ms, trips)), cause)
end

-- expire_trips ends the row of opens if the circuit stayed closed for at least
-- as long as it was last open. This is the only way in which the backoff
-- shortens, so that a dependency that fails soon after each recovery is not
-- called for longer and longer.
function m.expire_trips()
  if m.state == 'closed' and m.now - m.since >= m.open_for and (m.ramp_ms == 0 or m.ramp_left_ms(m.now) == 0) then m.trips = 0 end
end

-- planned_open_ms returns the length of the trips-th open in a row that begins with
-- base. It multiplies step by step and rounds down each time, in Go and in Lua, so
-- that both get the same integer.
function m.planned_open_ms(base, trips)
  local ms = base
  for _ = 2, trips do
    if ms >= p.max_ms or p.multiplier == $SCALE then break end
    ms = math.floor(ms * p.multiplier / $SCALE)
  end
  return math.min(ms, p.max_ms)
end

-- apply_jitter shortens an open period by a random share, so that circuits that
-- opened together do not probe together.
function m.apply_jitter(plan)
  if p.jitter == 0 then return plan end
  return math.max(1, plan - math.floor(math.floor(plan * p.jitter / $SCALE) * math.floor(m.rnd / $EPOCHS_PER_MS) / $JITTER_STEPS))
end

-- begin_open opens for open_for ms as the trips-th open in a row.
function m.begin_open(trips, open_for, cause)
  m.make_transition('open', m.mode, cause, open_for)
  m.until_ms, m.open_for, m.trips = m.now + open_for, open_for, trips
end

-- close_circuit ends a round that succeeded. The number of trips and the length
-- of the open period stay: they are the memory of the backoff.
function m.close_circuit(cause)
  m.make_transition('closed', m.mode, cause, 0)
  m.until_ms = 0
  if p.ramp_ms > 0 then m.begin_ramp() end
end

-- make_transition changes state or mode. Everything that belongs to the old
-- epoch is emptied here, in one place, so that no later rule can judge by it.
-- The transition is logged with the tally that caused it, which is why the
-- tally is described first. for_ms is the length of the open period or mode
-- that begins, 0 if none does or it has no end.
function m.make_transition(to, mode, cause, for_ms)
  local from, from_mode, tally, was = m.state, m.mode, m.describe_tally(cause), m.epoch
  m.remove_state(mode, cause)
  m.epoch = m.next_epoch(was)
  m.state, m.mode = to, mode
  m.since = m.now
  m.fingerprint = p.fingerprint
  m.clear_window()
  m.streak, m.seq, m.fast_from, m.fast_until = 0, 0, 0, 0
  m.ramp_ms, m.ramp_from = 0, 0
  m.head_readable, m.tally_readable = true, true
  m.append_log(m.format_place(from, from_mode) .. '>' .. m.format_place(to, mode), cause, for_ms, tally, was)
  m.wrote, m.wrote_head, m.wrote_tally, m.resets_fast = true, true, true, true
end

-- remove_state takes the round and the mode out of use that the transition leaves.
-- A damaged record may have any.
function m.remove_state(mode, cause)
  local removed = m.removed
  if m.state == 'half_open' or cause == 'healed' then
    removed[#removed + 1], removed[#removed + 2] = 'round', 'leases'
    m.wrote_round = false
  end
  if mode == 'auto' and (m.mode ~= 'auto' or cause == 'healed') then
    removed[#removed + 1] = 'mode'
    m.wrote_mode = false
  end
end

-- next_epoch returns the epoch after old. Epochs grow with the clock, so that a
-- record that was flushed and begins again does not repeat one: tickets of the
-- lost record must stay stale. The random part covers a clock that went back,
-- or a rollback to an old copy, but for 1 case in 1024.
function m.next_epoch(old)
  local epoch = math.max(m.now * $EPOCHS_PER_MS, old + 1) + m.rnd % $EPOCHS_PER_MS
  if epoch > $MAX_EPOCH then epoch = m.now * $EPOCHS_PER_MS + m.rnd % $EPOCHS_PER_MS end
  return epoch
end
