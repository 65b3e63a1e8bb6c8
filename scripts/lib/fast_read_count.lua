-- A count window: the ring's next place (cell), its run of fast successes (clean),
-- and what it holds.
its_size, shape_since, cell, clean, place = tally:match('^count/(%d+) since=(%d+) cell=(%d+) clean=(%d+) calls=0/()', place)
if its_size ~= size or #shape_since > 15 then break end
calls, fails, slows, ends = tally:match('^(%d+) fail=0/(%d+) slow=0/(%d+) fast()=', place)
if not ends then break end
size, cell, clean, calls, fails, slows = size + 0, cell + 0, clean + 0, calls + 0, fails + 0, slows + 0
local bad = calls - clean
if size > $MAX_CALLS or calls > size or bad < 0 or fails > bad or slows > bad or (bad == 0) ~= (fails + slows == 0) or
  calls == size and cell >= size or calls < size and cell ~= calls then
  break
end
