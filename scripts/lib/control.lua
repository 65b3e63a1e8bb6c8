-- An operator's command: what control.go does.

local ACTIONS = { trip = true, half_open = true, reset = true, force_open = true, force_closed = true, shadow = true, release = true }

-- sound_rules tells whether the machine may calculate with the rules. Those of a
-- caller are: they come from a policy that was validated.
local function sound_rules(p)
  return sound_shape(p.kind, p.size) and p.consecutive <= 2147483647 and p.count <= 2147483647 and
    p.rate <= SCALE and p.slow_rate <= SCALE and p.slow_ms <= MAX_MS and p.min_calls <= 2147483647 and
    within(p.open_ms, 1, MAX_MS) and within(p.multiplier, SCALE, 10 * SCALE) and
    within(p.max_ms, p.open_ms, MAX_MS) and p.jitter <= SCALE and
    within(p.probes, 1, 1000) and within(p.successes, 1, p.probes) and within(p.lease_ms, 1, MAX_MS) and
    p.start_open <= 1 and within(p.reporters, 1, 16) and within(p.idle_ms, 1, MAX_MS)
end

-- control compares the expected epoch, ends an expired mode, then acts.
function m.control(if_epoch, action, for_ms)
  if not m.expects(if_epoch) then return 'conflict' end
  if m.exists and m.begin() then
    m.reanchor()
    m.end_mode()
  end
  local verdict = m.act(action, for_ms)
  if m.exists then m.expire(false) end
  return verdict
end

-- expects compares the record's epoch with the one that the operator saw: 0 is
-- any, -1 an absent record.
function m.expects(epoch)
  if epoch == 0 then return true end
  if epoch < 0 then return not m.exists end
  return m.exists and m.epoch == epoch
end

-- act does what the command says.
function m.act(action, for_ms)
  local forced = m.mode == 'forced_open' or m.mode == 'forced_closed'
  if forced and (action == 'trip' or action == 'half_open') then return 'forced' end
  if action == 'trip' and m.state == 'open' and m.now < m.until_ms or action == 'release' and m.mode == 'auto' then
    return 'done'
  end
  if not m.exists then
    m.exists = true
    m.newest = m.latest()
  end
  if action == 'trip' then
    m.trip(for_ms)
  elseif action == 'half_open' then
    m.half_open('operator')
  elseif action == 'reset' then
    m.forget(m.mode, 'operator')
  elseif action == 'force_open' then
    m.forget('forced_open', 'operator')
    m.set_term(for_ms)
  elseif action == 'force_closed' then
    m.forget('forced_closed', 'operator')
    m.set_term(for_ms)
  elseif action == 'shadow' then
    m.shadow()
    m.set_term(for_ms)
  elseif action == 'release' then
    m.release('operator')
  end
  return 'done'
end

-- trip opens now, as the first open in a row, for the given time or the policy's.
function m.trip(for_ms)
  if for_ms == 0 then for_ms = m.jittered(m.planned(1)) end
  m.open_until(1, for_ms, 'operator')
end

-- shadow changes the mode and keeps state and times. A round begins anew: its
-- leases belong to the epoch before.
function m.shadow()
  local since = m.since
  m.transition(m.state, 'shadow', 'operator')
  m.since = since
  if m.state == 'half_open' then m.begin_round(m.probes, m.successes, m.lease_ms) end
end

-- set_term says how long the mode lasts, why, and who wants it.
function m.set_term(for_ms)
  m.mode_until, m.mode_for, m.mode_reason, m.mode_by = 0, 0, m.text, m.by
  if for_ms > 0 then m.mode_until, m.mode_for = m.now + for_ms, for_ms end
  m.wrote_mode = true
end
