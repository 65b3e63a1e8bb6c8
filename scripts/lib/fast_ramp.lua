-- An admission during the ramp after recovery: it reads the clock and writes nothing.
-- fast_admit has found the head before the ramp sound. The arithmetic is that of
-- ramp.lua.
if ramp and results == '' then
  local ends, length, from = head:match('^ ramp=(%d+)/([1-9]%d*)/([1-9]%d*)$', ramp)
  local n, rnd = ARGV[1]:match('^(%d+) (%d+)$')
  if ends and n and ends - length == head:sub(since, since_end - 1) + 0 and #length < 11 and from + 0 <= $SCALE and
    n + 0 <= $MAX_BATCH and rnd + 0 < $RND_LIMIT then
    time = clock()
    local left = ends - time
    if left <= 0 then return epoch end
    local lasted = length - left
    if lasted >= 0 then
      local share = from + math.floor(($SCALE - from) * lasted / length)
      local portion = n * share
      local granted = math.floor(portion / $SCALE)
      if rnd * $SCALE < portion % $SCALE * $RND_LIMIT then granted = granted + 1 end
      return epoch .. string.format(' %d %d %d %d', granted, left, share, math.min(left, math.max($MIN_PROBE_HINT_MS, lasted)))
    end
  end
end
