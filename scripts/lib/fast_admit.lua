-- An admission while closed: it reads no clock and writes nothing. The pattern
-- matches a sound head only; what remains is the range of each number, which its
-- digits give away, except for the epoch's. A ramp behind it is left to fast_ramp.
local epoch, policy, since, since_end, open_for, trips, newest, ramp
if head and not head.err then
  epoch, policy, since, since_end, open_for, trips, newest, ramp = head:match(
    '^1 closed auto epoch=([1-9]%d*) policy=(%w+) since=()%d+() until=0 open_for=(%d+) trips=(%d%d?%d?) n=([1-9]%d*)()')
  if policy == ARGV[2]:sub(1, 8) and epoch + 0 <= $MAX_EPOCH and since_end - since < 16 and #open_for < 11 and
    (trips == '0' or open_for ~= '0') and #newest < 16 then
    if ramp > #head then
      if results == '' then return epoch end
      asks = true
    end
  else
    ramp = nil
  end
end
