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
  local entry = string.format('%d %d %d ', m.newest, m.epoch, m.now) .. move .. ' ' .. cause .. length .. tally .. by .. text
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
