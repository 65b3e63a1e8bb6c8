-- An admission during the ramp after recovery: it reads the clock and writes nothing.
-- The arithmetic is that of ramp.lua.
if head and not head.err then
  local epoch, policy, since, open_for, trips, newest, place = head:match(
    '^1 closed auto epoch=([1-9]%d*) policy=(%w+) since=(%d+) until=0 open_for=(%d+) trips=(%d%d?%d?) n=([1-9]%d*) ramp=()')
  local ends, length, from, n, rnd
  if place then
    ends, length, from = head:match('^(%d+)/([1-9]%d*)/([1-9]%d*)$', place)
    n, rnd = ARGV[1]:match('^(%d+) (%d+)$')
  end
  if ends and n and policy == ARGV[2]:sub(1, 8) and epoch + 0 <= $MAX_EPOCH and #since < 16 and #open_for < 11 and
    (trips == '0' or open_for ~= '0') and #newest < 16 and #length < 11 and from + 0 <= $SCALE and
    ends + 0 == since + length and n + 0 <= $MAX_BATCH and rnd + 0 < $RND_LIMIT then
    time = clock()
    local left, lasted = ends - time, time - since
    if left <= 0 then return epoch end
    if lasted >= 0 then
      local share = from + math.floor(($SCALE - from) * lasted / length)
      local portion = n * share
      local granted = math.floor(portion / $SCALE)
      if rnd * $SCALE < portion % $SCALE * $RND_LIMIT then granted = granted + 1 end
      return epoch .. string.format(' %d %d %d %d', granted, left, share, math.min(left, math.max($MIN_PROBE_HINT_MS, lasted)))
    end
  end
end
