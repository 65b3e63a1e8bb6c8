-- A time window: "current bucket/whole window" of calls, failures and slow calls.
-- Slow calls are rare, so the text without any is looked for first.
its_size, shape_since, cell, place = tally:match('^time/(%d+) since=(%d+) cell=(%d+) clean=0 calls=()', place)
if its_size ~= size or #shape_since > 15 or #cell > 15 then break end
calls_current, calls, fails_current_text, fails_text, place = tally:match('^(%d+)/(%d+) fail=(%d+)/(%d+)()', place)
if not place or #calls > 12 then break end
calls_current, calls, fails_current, fails = calls_current + 0, calls + 0, fails_current_text + 0, fails_text + 0
if calls_current > calls or fails_current > calls_current or fails > calls or fails_current > fails then break end
starts, ends = tally:find(' slow=0/0 fast=', place, true)
if starts ~= place then
  local slows_current
  slows_text, slows_current, slows, ends = tally:match('^ slow=((%d+)/(%d+)) fast()=', place)
  if not ends then break end
  slows_current, slows = slows_current + 0, slows + 0
  if slows_current > calls_current or slows > calls or slows_current > slows then break end
end
