-- Whether the circuit opens: the mirror of judge.go.

-- remember_reporter moves the reporter of a failure or slow call to the front,
-- where the policy asks for more than one reporter. Others pay nothing for the
-- rule.
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

-- find_cause returns the first rule that holds. The window is judged only if it
-- has the policy's own shape: counts of another shape would mean something
-- else.
function m.find_cause()
  if p.consecutive > 0 and m.streak >= p.consecutive and m.has_reporters_in_streak() then return 'consecutive' end
  if p.kind == 'none' or not m.same_shape() or not m.has_reporters_in_window() then return nil end
  if p.count > 0 and m.fails_all >= p.count then return 'failure_count' end
  if p.rate > 0 and m.calls_all >= p.min_calls and m.fails_all * $SCALE >= p.rate * m.calls_all then return 'failure_rate' end
  if p.slow_rate > 0 and m.calls_all >= p.min_calls and m.slows_all * $SCALE >= p.slow_rate * m.calls_all then return 'slow_rate' end
  return nil
end

-- has_reporters_in_streak reports whether enough distinct reporters failed
-- since the streak began. A streak is the last so many numbered outcomes, so a
-- reporter lies in it if its number does.
function m.has_reporters_in_streak()
  local last = m.oldest_needed_reporter()
  return last and last.seq > m.seq - m.streak
end

-- has_reporters_in_window reports whether enough distinct reporters lie in the
-- window.
function m.has_reporters_in_window()
  local last = m.oldest_needed_reporter()
  if p.reporters > 1 and m.kind == 'time' then return last and last.bucket > m.cell - $BUCKETS end
  return last and (p.reporters == 1 or last.seq > m.seq - m.calls_all)
end

-- oldest_needed_reporter returns the k-th newest reporter of a policy that asks
-- for k. Reporters are kept newest first, so if this one lies in a window, all
-- k do. For k = 1 it is the reporter of the present outcome.
function m.oldest_needed_reporter()
  if p.reporters == 1 then return m end
  return m.reporters[p.reporters]
end
