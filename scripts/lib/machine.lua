-- One step on the record: the mirror of machine.go.

-- Functions that many steps do not need are defined when the first of their group
-- is called, because defining a function costs the server as much as running a
-- short one. A step needs two or three of these groups. The conditions name the
-- functions that a step may call first, those of the commonest steps before others.
-- Two groups need rules of the policy that no other function reads.
setmetatable(m, { __index = function(_, name)
  if name == 'settle_closed' or name == 'clear_window' then
    -- @include lib/window.lua
  elseif name == 'remember_reporter' then
    -- @include lib/judge.lua
  elseif name == 'open_circuit' or name == 'make_transition' or name == 'expire_trips' or name == 'close_circuit' or
    name == 'begin_open' or name == 'apply_jitter' then
    -- @include lib/transition.lua
    -- @include lib/log.lua
  elseif name == 'outcomes_until_turn' or name == 'push_outcomes' or name == 'add_calls' or name == 'rotate_buckets' then
    -- @include lib/cells.lua
  elseif name == 'renew_record' or name == 'release_mode' or name == 'reset_circuit' or name == 'find_newest' then
    parse_recovery_rules(p)
    -- @include lib/renew.lua
  elseif name == 'parse_round' or name == 'start_probing' or name == 'begin_round' then
    parse_recovery_rules(p)
    -- @include lib/round.lua
    -- @include lib/probes.lua
  elseif name == 'standing' then
    -- @include lib/standing.lua
  elseif name:find('ramp') then
    -- @include lib/ramp.lua
  else
    -- @include lib/fields.lua
  end
  return m[name]
end })

-- prepare_record creates a record that is absent and renews one that is
-- damaged. It returns false if it did either: the record is then as of now, and
-- no time in it needs repair.
function m.prepare_record()
  if not m.exists then
    m.renew_record('created')
    return false
  end
  if not m.is_state_readable() then
    m.renew_record('healed')
    return false
  end
  return true
end

-- is_state_readable reports whether the fields that every step depends on are
-- sound: the head; outside auto the mode; in half-open the round. The other
-- fields are checked by the step that needs them, so that damage to one of them
-- costs no more than it must.
function m.is_state_readable()
  return m.head_readable and
    (m.mode == 'auto' or m.parse_mode()) and
    (m.state ~= 'half_open' or m.parse_round())
end

-- needs_clock reports whether the step depends on the time. An admission while
-- closed and auto does not, and TIME is a command that the commonest step can
-- save.
function m.needs_clock(reports)
  return reports or not m.exists or not m.head_readable or m.state ~= 'closed' or m.mode ~= 'auto' or m.ramp_ms > 0
end

-- reanchor_times repairs times that lie further ahead than their own planned
-- length. That happens after a clock went back, for example in a failover, and
-- would otherwise keep the circuit open, or a lease alive, for as long as the
-- clock went back.
function m.reanchor_times()
  if m.cap_time(m, 'since', m.now) then m.wrote_head = true end
  if m.state == 'open' then
    if m.cap_time(m, 'until_ms', m.now + m.open_for) then m.wrote_head = true end
  end
  if m.mode ~= 'auto' and m.mode_until > 0 then
    if m.cap_time(m, 'mode_until', m.now + m.mode_for) then m.wrote_mode = true end
  end
  if m.state == 'half_open' then
    for _, l in ipairs(m.leases) do
      if m.cap_time(l, 'deadline', m.now + m.lease_ms) then m.wrote_round = true end
    end
  end
end

-- cap_time moves a time back to latest if it lies after it.
function m.cap_time(t, field, latest)
  if t[field] <= latest then return false end
  t[field] = latest
  m.wrote = true
  return true
end

-- end_expired_mode releases a mode whose time is over. It runs before anything
-- else, so that no call is judged by a mode that has ended.
function m.end_expired_mode()
  if m.mode ~= 'auto' and m.mode_until > 0 and m.now >= m.mode_until then m.release_mode('mode_ended') end
end

-- settle_result counts the outcomes of one ticket, or drops them as stale. A
-- result belongs to the epoch that admitted it: after a transition, also one
-- that this batch just made, it says nothing about the present state.
function m.settle_result(result)
  local first = m.applied
  for code, count in result.runs:gmatch('(%a)(%d+)') do
    local before, n = m.applied, count + 0
    m.attribute_outcome(result.lease, code)
    if #m.transitions > 0 or result.epoch ~= m.epoch then
      -- stale: of another epoch, or behind a transition of this batch
    elseif is_counting() and result.lease == 0 then
      m.settle_closed(code, n)
    elseif m.state == 'half_open' and m.mode ~= 'forced_open' and m.mode ~= 'forced_closed' then
      m.settle_probe(result.lease, code)
    end
    m.stale = m.stale + n - (m.applied - before)
  end
  return m.applied - first
end

-- attribute_outcome sets the reporter and the failure's details for one
-- outcome. The log names them with the transition that this outcome causes, so
-- they must not leak to the next outcome of the batch.
function m.attribute_outcome(lease, code)
  m.by, m.text, m.own_ms = '-', '-', 0
  if lease > 0 or code ~= 's' and code ~= 'i' then m.by = m.reporter end
  if code == 'f' or code == 'F' or code == 't' then m.text, m.own_ms = m.failure_text, m.failure_ms end
end

-- admit_calls grants what the state allows of n admissions. The first call
-- after the open period begins the round of probes and is its first probe.
-- Forced modes grant nothing here: forced_closed admits calls without a ticket.
function m.admit_calls(n, reply)
  if n == 0 or m.mode == 'forced_open' or m.mode == 'forced_closed' then return end
  if m.state == 'open' and m.now >= m.until_ms then m.start_probing('elapsed') end
  if m.state == 'closed' then
    reply.granted = n
    if m.ramp_ms > 0 then reply.granted = m.ramp_admissions(n) end
  elseif m.state == 'half_open' then
    m.grant_leases(n, reply)
  end
end

-- renew_ttl sets the record's time to live when it has none, or when less than
-- half of it is left: most steps then need no PEXPIRE. Only a step that writes
-- or reports renews it, because rejections must not keep an abandoned record
-- alive. A mode without an end has no TTL: an operator's decision must not
-- expire.
function m.renew_ttl(reports)
  if m.mode ~= 'auto' and m.mode_until == 0 then
    if m.expires ~= 0 then
      m.expires = 0
      m.wrote, m.wrote_tally, m.persist = true, true, true
    end
    return
  end
  if not m.wrote and not reports then return end
  local ttl_ms = m.needed_ttl()
  local remains = m.expires - m.now
  if m.expires == 0 or remains > $MAX_TTL_MS or 2 * remains < ttl_ms then
    m.expires = m.now + ttl_ms
    m.resets_fast, m.wrote_tally, m.pexpire = true, true, ttl_ms
  end
  if not m.tally_readable then m.expires = 0 end -- a damaged tally has no place for it
  m.set_fast_interval(ttl_ms)
end

-- needed_ttl returns how long the record must outlive this step, in ms: the
-- idle time, and twice the longest time that the record still has to remember.
-- Twice, because the TTL may be spent by half before it is renewed.
function m.needed_ttl()
  local longest = 0
  if p.kind == 'time' then longest = p.size end
  if is_counting() and m.kind == 'time' then longest = math.max(longest, m.size) end
  if m.state == 'open' then
    longest = math.max(longest, m.until_ms - m.now)
  elseif m.state == 'half_open' then
    longest = math.max(longest, m.lease_ms)
  elseif m.trips > 0 then
    longest = math.max(longest, m.since + m.open_for - m.now)
  end
  if m.mode ~= 'auto' then longest = math.max(longest, m.mode_until - m.now) end
  if m.ramp_ms > 0 then longest = math.max(longest, m.ramp_left_ms(m.now)) end
  return p.idle_ms + 2 * math.min(longest, $MAX_MS)
end

-- set_fast_interval sets the interval in which a step of the record's own
-- policy does nothing but count: the time window keeps its bucket, and no TTL
-- is due. The fast path of step.lua relies on it and checks nothing else. The
-- interval is empty where another policy made this step, or where the clock
-- went back behind the window.
function m.set_fast_interval(ttl_ms)
  if m.state ~= 'closed' or m.mode ~= 'auto' then return end
  local fast_end = m.now
  if m.fingerprint == p.fingerprint then fast_end = math.max(m.now, m.expires - math.floor(ttl_ms / 2)) end
  if m.kind == 'time' then fast_end = math.min(fast_end, (m.cell + 1) * bucket_ms(m.size)) end
  if m.shape_since > m.now or m.ramp_ms > 0 or m.kind == 'time' and m.cell * bucket_ms(m.size) > m.now + m.size then
    fast_end = m.now
  end
  if m.resets_fast or fast_end > m.now and not within(m.now, m.fast_from, m.fast_until - 1) then
    m.fast_from, m.fast_until, m.wrote_tally = m.now, fast_end, true
  end
end

-- build_reply completes the reply.
function m.build_reply(admissions, reply)
  local ramp_left = 0
  if m.ramp_ms > 0 then ramp_left = m.ramp_left_ms(m.now) end
  if ramp_left == 0 and m.state == 'closed' and m.mode == 'auto' and reply.granted == admissions and m.stale == 0 and #m.transitions == 0 and
    m.fingerprint == p.fingerprint then
    return string.format('%d', m.epoch)
  end
  local text = m.state .. ' ' .. m.mode .. string.format(' epoch=%d left=%d mode_left=%d granted=%d lease=%d applied=%d stale=%d',
    m.epoch, m.remaining_ms(), math.max(0, m.mode_until - m.now), reply.granted, reply.first_lease, m.applied, m.stale) ..
    ' policy=' .. m.fingerprint
  if m.stale > 0 then
    for i, n in ipairs(reply.applied_each) do reply.applied_each[i] = string.format('%d', n) end
    text = text .. ' applied_each=' .. table.concat(reply.applied_each, ',')
  end
  if ramp_left > 0 then text = text .. string.format(' ramp=%d/%d', ramp_left, m.ramp_share(m.now)) end
  if m.overdue_ms > 0 then text = text .. string.format(' overdue=%d/%d', m.overdue_ms, m.overdue_lease_ms) end
  if #m.transitions > 0 then text = text .. '\n' .. m.transitions[1].event end
  if m.unpublished then text = text .. '\n!unpublished' end
  return text
end

-- remaining_ms returns after how many ms a rejected call should come again. While
-- open or forced open that is the end of the period. In shadow, where nothing is
-- rejected, it is the time of the state that shadow hides.
function m.remaining_ms()
  if m.mode == 'forced_open' then
    return math.max(0, m.mode_until - m.now)
  elseif m.state == 'open' then
    return math.max(0, m.until_ms - m.now)
  elseif m.state == 'half_open' and m.free_slots() == 0 then
    return m.probe_hint_ms(m.now)
  elseif m.state == 'closed' and m.ramp_ms > 0 then
    return m.ramp_hint_ms(m.now)
  end
  return 0
end
