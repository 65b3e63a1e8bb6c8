-- Moving the ring of a count window: `moved` outcomes take the places from `cell`
-- on, within one field of it at a time. New letters are gathered until the next place
-- lies in another field, or in front again: so a step with many short runs cuts
-- and joins each field once.
while moved > 0 do
  local from, full = cell % $CHUNK, calls == size
  local part, base = 1, cell - from
  if moved > 1 then part = math.min(moved, $CHUNK - from, size - cell) end
  if base ~= ring or from ~= begun + added then
    -- @include lib/fast_chunk.lua
  end
  local old = 's'
  if full then old = text:sub(from + 1, from + part) else calls = calls + part end
  if old ~= 's' and part == 1 then
    if old == 'f' or old == 'F' then fails = fails - 1 end
    if old == 'F' or old == 'S' then slows = slows - 1 end
    if fails < 0 or slows < 0 then break end
  elseif part > 1 then
    local _, fail = old:gsub('[fF]', '')
    local _, slow = old:gsub('[SF]', '')
    if fail > fails or slow > slows then break end
    fails, slows = fails - fail, slows - slow
  end
  if code == 'f' then fails = fails + part end
  local new = code
  if part > 1 then new = code:rep(part) end
  if added == 0 then
    piece = new
  elseif pieces then
    pieces[#pieces + 1] = new
  else
    pieces = { piece, new }
  end
  added, cell, moved = added + part, (cell + part) % size, moved - part
end
if moved > 0 then break end
