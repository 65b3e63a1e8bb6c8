-- An operator's command: the mirror of control.go.

local ACTIONS = { trip = true, half_open = true, reset = true, force_open = true, force_closed = true, shadow = true, release = true }

-- is_sound_initial reports whether a record can begin so: a forced mode pauses a
-- closed circuit.
local function is_sound_initial(state, mode)
  return is_known_state(state) and is_known_mode(mode) and (state == 'closed' or mode == 'auto' or mode == 'shadow')
end

-- is_sound_rules reports whether the machine may calculate with the rules. Only a
-- record's own policy is checked: a caller's was validated in Go.
local function is_sound_rules(p)
  return is_sound_shape(p.kind, p.size) and p.consecutive <= $MAX_THRESHOLD and p.count <= $MAX_THRESHOLD and
    p.rate <= $SCALE and p.slow_rate <= $SCALE and p.slow_ms <= $MAX_MS and p.min_calls <= $MAX_THRESHOLD and
    within(p.open_ms, 1, $MAX_MS) and within(p.multiplier, $SCALE, 10 * $SCALE) and
    within(p.max_ms, p.open_ms, $MAX_MS) and p.jitter <= $SCALE and
    within(p.probes, 1, $MAX_PROBES) and within(p.successes, 1, p.probes) and within(p.lease_ms, 1, $MAX_MS) and
    p.allow_slow <= 1 and is_sound_initial(p.initial_state, p.initial_mode) and
    p.ramp_ms <= $MAX_MS and p.ramp_from <= $SCALE and (p.ramp_ms > 0) == (p.ramp_from > 0) and within(p.reporters, 1, $MAX_REPORTERS) and within(p.idle_ms, 1, $MAX_MS)
end

-- control applies a command at the time now: it compares the expected epoch,
-- ends an expired mode, then acts. It returns the transitions made, two at
-- most, and ErrConflict or ErrForced if the command was refused. A refused
-- command still repairs and ends what was due, except after a conflict, which
-- writes nothing. A command that changes nothing makes no transition.
function m.control(if_epoch, action, for_ms)
  if not m.matches_epoch(if_epoch) then return 'conflict' end
  if not m.exists and p.initial_mode ~= 'auto' then
    m.renew_record('created') -- the command meets the mode as if it had been set
  elseif m.exists and m.prepare_record() then
    m.reanchor_times()
    m.end_expired_mode()
  end
  local verdict = m.run_action(action, for_ms)
  if m.exists then m.renew_ttl(false) end
  return verdict
end

-- matches_epoch compares the record's epoch with the one that the operator saw:
-- 0 is any, -1 an absent record. It runs first, so that a decision made about
-- an old state never acts on a new one.
function m.matches_epoch(epoch)
  if epoch == 0 then return true end
  if epoch < 0 then return not m.exists end
  return m.exists and m.epoch == epoch
end

-- run_action does what the command asks for.
function m.run_action(action, for_ms)
  local forced = m.mode == 'forced_open' or m.mode == 'forced_closed'
  if forced and (action == 'trip' or action == 'half_open') then return 'forced' end
  if action == 'release' and m.mode == 'auto' then return 'done' end
  if not m.exists then
    m.exists = true
    m.newest = m.find_newest()
    m.since = m.now -- shadow keeps it
  end
  if action == 'trip' then
    m.trip_circuit(for_ms)
  elseif action == 'half_open' then
    m.start_probing('operator')
  elseif action == 'reset' then
    m.reset_circuit(m.mode, 'operator', 0)
  elseif action == 'force_open' then
    m.reset_circuit('forced_open', 'operator', for_ms)
    m.set_term(for_ms)
  elseif action == 'force_closed' then
    m.reset_circuit('forced_closed', 'operator', for_ms)
    m.set_term(for_ms)
  elseif action == 'shadow' then
    m.enter_shadow(for_ms)
    m.set_term(for_ms)
  elseif action == 'release' then
    m.release_mode('operator')
  end
  return 'done'
end

-- trip_circuit begins a new open period, as the first open in a row, also where the
-- circuit is open: the operator's time, reason and name replace what was. The time
-- is neither jittered nor capped: an explicit time is meant.
function m.trip_circuit(for_ms)
  if for_ms == 0 then for_ms = m.apply_jitter(m.planned_open_ms(p.open_ms, 1)) end
  m.begin_open(1, for_ms, 'operator')
end

-- enter_shadow changes the mode and keeps state and times. A round begins again
-- with no leases, because its leases belong to the epoch before.
function m.enter_shadow(for_ms)
  local since, ramp_ms, ramp_from = m.since, m.ramp_ms, m.ramp_from
  m.make_transition(m.state, 'shadow', 'operator', for_ms)
  m.since, m.ramp_ms, m.ramp_from = since, ramp_ms, ramp_from
  if m.state == 'half_open' then m.begin_round(m.probes, m.successes, m.lease_ms) end
end

-- set_term sets how long the mode lasts, its reason, and its actor.
function m.set_term(for_ms)
  m.mode_until, m.mode_for, m.mode_reason, m.mode_by = 0, 0, m.text, m.by
  if for_ms > 0 then m.mode_until, m.mode_for = m.now + for_ms, for_ms end
  m.wrote_mode = true
end
