-- The log of transitions: the mirror of log.go.

-- append_log writes a transition to the log, a ring of 16 entries.
-- epoch at from[/mode]>to[/mode] cause [tally] [by=token] [text=token]
function m.append_log(move, cause, tally)
  m.newest = (m.newest + 1) % $LOG_SLOTS
  local by, text = '', ''
  if m.by ~= '-' then by = ' by=' .. m.by end
  if m.text ~= '-' then text = ' text=' .. m.text end
  local entry = string.format('%d %d %s %s%s%s%s', m.epoch, m.now, move, cause, tally, by, text)
  m.transitions[#m.transitions + 1] = { slot = m.newest, entry = entry }
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

-- find_newest finds the newest entry without the help of the head, for a record
-- whose head is lost.
function m.find_newest()
  local slot, epoch = -1, 0
  for i = 0, $LOG_SLOTS - 1 do
    local entry = redis.call('HGET', KEYS[1], string.format('log:%02d', i)) or ''
    local e = entry:match('^%d+')
    if e and e + 0 <= $MAX_INT and e + 0 > epoch then slot, epoch = i, e + 0 end
  end
  return slot
end
