-- Counting one run of n equal outcomes. A success ends the streak; in a count
-- window only as many successes move the ring as are needed to fill it.
local n, moved, slows_most = count + 0, 0, slows
if code == 's' then
  streak = 0
  if kind == 'count' then
    moved = size - clean
    if n < moved then moved = n end
    seq, clean = seq + moved, clean + moved
    if clean == size and moved > $CHUNK then
      -- @include lib/fast_fill.lua
    end
  end
else
  streak, seq = streak + n, seq + n
  if kind == 'time' then
    fails_current, fails = fails_current + n, fails + n
  elseif kind == 'count' then
    moved, clean = n, 0
  end
end
if kind == 'time' then calls_current, calls = calls_current + n, calls + n end
-- @include lib/fast_ring.lua
