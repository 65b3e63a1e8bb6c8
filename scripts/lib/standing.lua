-- How far a closed record is from opening: the mirror of standing.go, as the last
-- line of a reply.

-- standing returns that line for the reporter that asked; '' if the standing is not
-- known. It changes nothing.
function m.standing()
  local s = {
    calls = 0, fails = 0, slows = 0, leaving_calls = 0, leaving_fails = 0, leaving_slows = 0, turn_ms = 0, age_ms = 0,
    other_seq = 0, other_turns = 0,
  }
  if not is_counting() or not m.tally_readable or not m.measure_window(s) or not m.find_other_reporter(s) then return '' end
  return string.format('\n=%d %d %d %d %d %d %d %d %d %d %d %d', m.streak, m.seq, s.calls, s.fails, s.slows,
    s.leaving_calls, s.leaving_fails, s.leaving_slows, s.turn_ms, s.age_ms, s.other_seq, s.other_turns)
end

-- measure_window adds the numbers of the window. It returns false if they are not
-- known: a window of another shape may give way to the policy's own at any outcome.
function m.measure_window(s)
  if p.kind == 'none' or m.kind == 'none' then return true end -- the next outcome begins a window, if the policy has one
  if m.kind ~= p.kind or m.size ~= p.size then return false end
  s.age_ms = math.max(0, m.now - m.shape_since)
  s.calls, s.fails, s.slows = m.calls_all, m.fails_all, m.slows_all
  return m.kind == 'count' or m.measure_buckets(s)
end

-- measure_buckets adds the numbers of a time window: as advance_window would find
-- them, without moving the window. It returns false if a bucket is damaged, or if the
-- clock went back behind the window, which then is about to be emptied.
function m.measure_buckets(s)
  local length = bucket_ms(m.size)
  local bucket = math.max(m.cell, math.floor(m.now / length))
  s.turn_ms = (bucket + 1) * length - m.now
  if m.cell * length > m.now + m.size or bucket > m.cell and not m.sum_buckets(bucket, s) then return false end
  local oldest = bucket + 1 - $BUCKETS
  if oldest == m.cell then
    s.leaving_calls, s.leaving_fails, s.leaving_slows = m.calls_current, m.fails_current, m.slows_current
  elseif oldest < m.cell and not m.read_leaving(oldest, s) then
    return false
  end
  return s.leaving_calls <= s.calls and s.leaving_fails <= s.fails and s.leaving_slows <= s.slows
end

-- sum_buckets adds up what the window will hold once it has moved to a bucket, see
-- rotate_buckets. No step that gets here has changed a bucket.
function m.sum_buckets(bucket, s)
  s.calls, s.fails, s.slows = 0, 0, 0
  if m.cell > bucket - $BUCKETS then s.calls, s.fails, s.slows = m.calls_current, m.fails_current, m.slows_current end
  local cells = m.parse_cells()
  if not cells then return false end
  for _, c in pairs(cells) do
    if c.bucket > bucket - $BUCKETS and c.bucket < m.cell then
      s.calls, s.fails, s.slows = s.calls + c.calls, s.fails + c.fails, s.slows + c.slows
    end
  end
  return s.calls <= $MAX_TALLY
end

-- read_leaving adds the numbers of a bucket before the current one. A step that took
-- fields out of use, and has a time window still, has just begun it.
function m.read_leaving(bucket, s)
  local slot = bucket % $BUCKETS
  local text = m.wrote_cells[slot]
  if not text and #m.removed == 0 then text = redis.call('HGET', KEYS[1], string.format('w%d', slot)) end
  if not text or text == '' then return true end
  local c = m.parse_cell(slot, text)
  if not c then return false end
  if c.bucket == bucket then s.leaving_calls, s.leaving_fails, s.leaving_slows = c.calls, c.fails, c.slows end
  return true
end

-- find_other_reporter adds the reporter that MinReporters needs besides the one that
-- asked. It returns false if the reporters are damaged.
function m.find_other_reporter(s)
  if p.reporters == 1 then return true end
  if not m.parse_reporters() then return false end
  local missing = p.reporters - 1
  for _, other in ipairs(m.reporters) do
    if other.by ~= m.reporter then missing = missing - 1 end
    if missing == 0 then
      s.other_seq = other.seq
      if m.kind == 'time' and p.kind == 'time' then
        local bucket = math.max(m.cell, math.floor(m.now / bucket_ms(m.size)))
        s.other_turns = math.max(0, math.min(other.bucket - bucket + $BUCKETS, $BUCKETS))
      end
      break
    end
  end
  return true
end
