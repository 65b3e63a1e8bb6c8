-- The ramp after recovery: the mirror of ramp.go, which explains it.

-- ramp_left_ms returns how long the ramp still lasts. Callers ask only where there is
-- one, so that other records do not define these functions.
function m.ramp_left_ms(now)
  return math.max(0, math.min(m.ramp_ms, m.since + m.ramp_ms - now))
end

-- ramp_share returns the share of calls that is admitted, in 1/10 000.
function m.ramp_share(now)
  local left = m.ramp_left_ms(now)
  if left == 0 then return $SCALE end
  return m.ramp_from + math.floor(($SCALE - m.ramp_from) * (m.ramp_ms - left) / m.ramp_ms)
end

-- ramp_admissions returns how many of n calls are admitted: the whole part of n times
-- the share, and one more with the probability of the rest.
function m.ramp_admissions(n)
  local portion = n * m.ramp_share(m.now)
  local granted = math.floor(portion / $SCALE)
  if m.rnd * $SCALE < portion % $SCALE * $RND_LIMIT then granted = granted + 1 end
  return granted
end

-- ramp_hint_ms returns the retry hint of a call that the ramp refused: like that of a
-- round of probes, it grows with the time that the ramp has lasted.
function m.ramp_hint_ms(now)
  return math.min(m.ramp_left_ms(now), math.max($MIN_PROBE_HINT_MS, now - m.since))
end

-- begin_ramp begins the policy's ramp in a circuit that has just recovered.
function m.begin_ramp()
  m.ramp_ms, m.ramp_from = p.ramp_ms, p.ramp_from
end

-- end_ramp removes a ramp that is over.
function m.end_ramp()
  if m.ramp_ms > 0 and m.ramp_left_ms(m.now) == 0 then
    m.ramp_ms, m.ramp_from = 0, 0
    m.wrote, m.wrote_head = true, true
  end
end
