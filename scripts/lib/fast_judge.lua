-- Judging a run of failures: any rule that could hold is left to the rest of the
-- script. So is a policy that asks for several reporters, whose names are not in
-- the tally. A success is never judged.
if code == 'f' then
  if not most then
    if not ARGV[2]:find(' reporters=1 idle=', -32, true) then break end
    most, rate, slow_rate, min_calls = ARGV[2]:match(
      '^%w+ consecutive=%d+ window=%l+/%d+ count=(%d+) rate=(%d+) slow=(%d+)/%d+ min=(%d+) ')
  end
  if consecutive ~= '0' and streak >= consecutive + 0 then break end
  if kind ~= 'none' then
    if most ~= '0' and fails >= most + 0 then break end
    if rate ~= '0' and calls >= min_calls + 0 and fails * $SCALE >= rate * calls then break end
    -- Within a run of failures the slow rate falls: it is highest when it is first judged.
    local least = math.max(calls - n + 1, min_calls + 0)
    if slow_rate ~= '0' and calls >= least and slows_most * $SCALE >= slow_rate * least then break end
  end
end
