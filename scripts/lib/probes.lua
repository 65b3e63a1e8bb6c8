-- A round of probes: the mirror of probes.go, which explains late results.

-- start_probing begins a round of probes by the rules of the policy that begins
-- it. A round keeps its numbers to its end, so that processes with other
-- policies settle it alike.
function m.start_probing(cause)
  m.expire_trips()
  m.make_transition('half_open', m.mode, cause, 0)
  m.until_ms = 0
  m.begin_round(p.probes, p.successes, p.lease_ms)
end

-- begin_round sets the numbers of a round without leases.
function m.begin_round(probes, successes, lease_ms)
  m.probes, m.successes, m.lease_ms = probes, successes, lease_ms
  m.grants, m.succeeded, m.failed, m.lapsed, m.late, m.leases = 0, 0, 0, 0, {}, {}
  m.wrote_round = true
end

-- grant_leases gives leases to as many of n admissions as there are free slots.
-- Where there is none it changes nothing, not even lapsed leases: a rejection must
-- not write.
function m.grant_leases(n, reply)
  local granted = math.min(n, m.free_slots())
  if granted == 0 then return end
  m.reclaim_lapsed()
  if m.grants + granted > $MAX_GRANT then -- no honest round comes here
    m.renew_record('healed')
    m.admit_calls(n, reply)
    return
  end
  reply.granted, reply.first_lease = granted, m.grants + 1
  for _ = 1, granted do
    m.grants = m.grants + 1
    m.leases[#m.leases + 1] = { grant = m.grants, deadline = m.now + m.lease_ms }
  end
  m.wrote, m.wrote_round = true, true
end

-- reclaim_lapsed frees the slots of leases past their deadline. It remembers them
-- as late, but no more than n: a dependency that never answers must not make the
-- record grow.
function m.reclaim_lapsed()
  local kept = {}
  for _, l in ipairs(m.leases) do
    if m.now < l.deadline then
      kept[#kept + 1] = l
    else
      m.lapsed = m.lapsed + 1
      m.late[#m.late + 1] = l
      m.wrote, m.wrote_round = true, true
    end
  end
  m.leases = kept
  while #m.late > m.probes do table.remove(m.late, 1) end
end

-- settle_probe spends the lease and counts one outcome, whatever the run's
-- length: one lease is one probe. A slow success counts as a failure only where
-- the reporting policy judges slow calls. An ignored probe counts as nothing
-- and frees its slot.
function m.settle_probe(lease, code)
  if not m.spend_lease(lease) then return end
  m.applied = m.applied + 1
  m.wrote, m.wrote_round = true, true
  if code == 'i' then
    -- the slot is free again
  elseif code == 't' then
    m.open_circuit('demanded')
  elseif code == 's' or code == 'S' and (p.slow_rate == 0 or p.allow_slow == 1) then
    m.succeeded = m.succeeded + 1
    if m.succeeded >= m.successes then m.close_circuit('recovered') end
  else
    m.failed = m.failed + 1
    if m.failed > m.probes - m.successes then m.open_circuit('probe_failed') end
  end
end

-- spend_lease takes the lease out of the round. It returns false if the round does
-- not know it: it was never granted, is spent, or lapsed so long ago that n others
-- lapsed since.
function m.spend_lease(lease)
  for i, l in ipairs(m.leases) do
    if l.grant == lease then
      table.remove(m.leases, i)
      if m.now >= l.deadline then
        m.lapsed = m.lapsed + 1
        m.note_overdue(l)
      end
      return true
    end
  end
  for i, l in ipairs(m.late) do
    if l.grant == lease then
      table.remove(m.late, i)
      m.note_overdue(l)
      return true
    end
  end
  return false
end

-- note_overdue notes for the reply that a probe outlived its lease, and how long it
-- took: users should learn that their lease is too short.
function m.note_overdue(l)
  local took = m.lease_ms + math.max(0, m.now - l.deadline)
  m.overdue_ms, m.overdue_lease_ms = math.max(m.overdue_ms, took), m.lease_ms
end
