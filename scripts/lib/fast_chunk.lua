-- Going on to another field of the ring: what was gathered for the one before is put
-- into it, to be written at the end. A field that the step has changed already is not
-- read again.
if ring then
  if pieces then piece = table.concat(pieces) end
  texts = texts or {}
  texts[ring] = text:sub(1, begun) .. piece .. text:sub(begun + added + 1)
end
ring, begun, added, pieces = base, from, 0, nil
name, text = 'w0', texts and texts[base]
if base > 0 then name = string.format('w%d', base / $CHUNK) end
if not text then
  text = ''
  if full or from > 0 then
    text = redis.call('HGET', KEYS[1], name) or ''
    if #text ~= math.min($CHUNK, calls - base) or not text:find('^[sfSF]*$') then break end
  end
end
