-- Moving the ring of a count window: `moved` outcomes take the places from `cell`
-- on, within one field of it at a time. A step may change two fields; one that
-- needs a third is left to the rest of the script.
while moved > 0 do
  local from, full = cell % $CHUNK, calls == size
  local part, base = 1, cell - from
  if moved > 1 then part = math.min(moved, $CHUNK - from, size - cell) end
  if base ~= ring then
    if name_before then break end
    name_before, text_before = name, text
    ring, name, text = base, 'w0', ''
    if base > 0 then name = string.format('w%d', base / $CHUNK) end
    if full or from > 0 then
      text = redis.call('HGET', KEYS[1], name) or ''
      if #text ~= math.min($CHUNK, calls - base) or not text:find('^[sfSF]*$') then break end
    end
  end
  local old = 's'
  if full then old = text:sub(from + 1, from + part) else calls = calls + part end
  if part > 1 or old ~= 's' then
    local _, fail = old:gsub('[fF]', '')
    local _, slow = old:gsub('[SF]', '')
    if fail > fails or slow > slows then break end
    fails, slows = fails - fail, slows - slow
  end
  if code == 'f' then fails = fails + part end
  local new = code
  if part > 1 then new = code:rep(part) end
  text = text:sub(1, from) .. new .. text:sub(from + part + 1)
  cell, moved = (cell + part) % size, moved - part
end
if moved > 0 then break end
