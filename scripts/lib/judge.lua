-- Whether the circuit opens: what judge.go does.

-- remember_reporter remembers who reported a failure or a slow call, where the policy asks
-- for more than one reporter.
function m.remember_reporter()
  if p.reporters == 1 then return end
  local latest_one = { by = m.by, seq = m.seq, bucket = 0 }
  if m.kind == 'time' then latest_one.bucket = m.cell end
  for i, other in ipairs(m.reporters) do
    if other.by == m.by then
      table.remove(m.reporters, i)
      break
    end
  end
  table.insert(m.reporters, 1, latest_one)
  m.reporters[$MAX_REPORTERS + 1] = nil
  m.wrote_reporters = true
end

-- find_cause returns the first condition that holds, nil if none does. The window is
-- judged only in the policy's own shape.
function m.find_cause()
  if p.consecutive > 0 and m.streak >= p.consecutive and m.has_reporters_in_streak() then return 'consecutive' end
  if p.kind == 'none' or not m.same_shape() or not m.has_reporters_in_window() then return nil end
  if p.count > 0 and m.fails_all >= p.count then return 'failure_count' end
  if p.rate > 0 and m.calls_all >= p.min_calls and m.fails_all * $SCALE >= p.rate * m.calls_all then return 'failure_rate' end
  if p.slow_rate > 0 and m.calls_all >= p.min_calls and m.slows_all * $SCALE >= p.slow_rate * m.calls_all then return 'slow_rate' end
  return nil
end

-- has_reporters_in_streak tells whether enough distinct reporters failed since the streak
-- began: it is the last so many numbered outcomes.
function m.has_reporters_in_streak()
  local last = m.oldest_needed_reporter()
  return last and last.seq > m.seq - m.streak
end

-- has_reporters_in_window tells whether enough distinct reporters lie in the window.
function m.has_reporters_in_window()
  local last = m.oldest_needed_reporter()
  if p.reporters > 1 and m.kind == 'time' then return last and last.bucket > m.cell - $BUCKETS end
  return last and (p.reporters == 1 or last.seq > m.seq - m.calls_all)
end

-- oldest_needed_reporter is the last of the reporters that a condition needs: they are kept
-- newest first, so if it lies in the window, all do. A policy that asks for one
-- has the one that reports now, whose place is the record's own.
function m.oldest_needed_reporter()
  if p.reporters == 1 then return m end
  return m.reporters[p.reporters]
end
