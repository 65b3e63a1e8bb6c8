-- The log of transitions: the mirror of log.go.

-- append_log numbers a transition and writes it to the log, a ring of 16 entries.
-- One that time or damage made has no author: the reporter or operator whose step
-- finds it due did not cause it.
-- n epoch at from[/mode]>to[/mode] cause [for=ms] [tally] [by=token] [text=token]
function m.append_log(move, cause, for_ms, tally, was)
  m.newest = m.newest % $MAX_NUMBER + 1
  local length, by, text = '', '', ''
  if for_ms > 0 then length = string.format(' for=%d', for_ms) end
  if cause ~= 'mode_ended' and cause ~= 'created' and cause ~= 'healed' then
    if m.by ~= '-' then by = ' by=' .. m.by end
    if m.text ~= '-' then text = ' text=' .. m.text end
  end
  local entry = string.format('%d %d %d %s %s%s%s%s%s', m.newest, m.epoch, m.now, move, cause, length, tally, by, text)
  m.transitions[#m.transitions + 1] = { slot = m.newest % $LOG_SLOTS, entry = entry, event = string.format('%d ', was) .. entry }
end

-- describe_tally returns the counts that caused a transition, for the log.
function m.describe_tally(cause)
  if cause == 'consecutive' or cause == 'failure_count' or cause == 'failure_rate' or cause == 'slow_rate' then
    return string.format(' streak=%d calls=%d failures=%d slow=%d', m.streak, m.calls_all, m.fails_all, m.slows_all)
  elseif cause == 'probe_failed' or cause == 'recovered' then
    return string.format(' succeeded=%d failed=%d lapsed=%d', m.succeeded, m.failed, m.lapsed)
  end
  return ''
end

-- format_place names a state and, where it is not auto, the mode over it.
function m.format_place(state, mode)
  if mode == 'auto' then return state end
  return state .. '/' .. mode
end

-- find_newest returns the number of the newest entry without the help of the head,
-- for a record whose head is lost; 0 if there is none. An entry counts only in the
-- slot that its number gives.
function m.find_newest()
  local newest, epoch = 0, 0
  for i = 0, $LOG_SLOTS - 1 do
    local entry = redis.call('HGET', KEYS[1], string.format('log:%02d', i)) or ''
    local n, e = entry:match('^(%d+) (%d+) ')
    if n and within(n + 0, 1, $MAX_NUMBER) and n % $LOG_SLOTS == i and e + 0 <= $MAX_INT and e + 0 > epoch then
      newest, epoch = n + 0, e + 0
    end
  end
  return newest
end
