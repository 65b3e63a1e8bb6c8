-- The standing of a step of the fast path, as standing.lua finds it: the policy's own
-- window is in use, and the clock is within its current bucket. A bucket that is not
-- sound leaves the standing out. A policy that asks for several reporters leaves the
-- step to the rest of the script.
if not ARGV[2]:find(' reporters=1 idle=', -32, true) then break end
if head and head:sub(since, since_end - 1) + 0 > time then break end -- the clock went back
if kind == 'none' then
  standing = '\n=' .. streak_text .. ' ' .. seq_text .. ' 0 0 0 0 0 0 0 0 0 0'
elseif kind == 'count' then
  standing = string.format('\n=%d %d %d %d %d 0 0 0 0 %d 0 0', streak, seq, calls, fails, slows, math.max(0, time - shape_since))
else
  local slot, length = (cell + 1) % $BUCKETS, math.floor((size + $BUCKETS - 1) / $BUCKETS)
  local text = redis.call('HGET', KEYS[1], string.format('w%d', slot))
  local leaving = '0 0 0'
  if text and text ~= '' then
    local bucket, past_calls, past_fails, past_slows = text:match('^(%d+) (%d+) (%d+) (%d+)$')
    if not bucket or math.max(bucket + 0, past_calls + 0) > $MAX_INT or bucket % $BUCKETS ~= slot or past_calls + 0 > $MAX_TALLY or
      past_fails + 0 > past_calls + 0 or past_slows + 0 > past_calls + 0 then
      leaving = nil
    elseif bucket + 0 == cell + 1 - $BUCKETS then
      leaving = past_calls + 0 <= calls and past_fails + 0 <= fails and past_slows + 0 <= slows and
        string.format('%d %d %d', past_calls + 0, past_fails + 0, past_slows + 0)
    end
  end
  if leaving then
    standing = '\n=' .. streak_text .. ' ' .. seq_text .. string.format(' %d ', calls) .. fails_text .. string.format(' %d ', slows) ..
      leaving .. string.format(' %d %d 0 0', (cell + 1) * length - time, math.max(0, time - shape_since))
  end
end
if results == '?' then return ticket .. standing end
