-- Filling the ring of a count window with successes: nothing else remains in it, so no
-- field is read, as in fill_ring of window.lua. The places that were gathered before
-- are filled too.
texts = texts or {}
while moved > 0 do
  local from = cell % $CHUNK
  local part = math.min(moved, $CHUNK - from, size - cell)
  texts[cell - from] = ('s'):rep(math.min($CHUNK, size - cell + from))
  cell, moved = (cell + part) % size, moved - part
end
calls, fails, slows = size, 0, 0
if ring then texts[ring] = ('s'):rep(math.min($CHUNK, size - ring)) end
ring, begun, added, pieces = nil, 0, 0, nil
