-- Writing the tally and the fields of the ring that changed, in one HSET.
if not ring and not texts then
  redis.call('HSET', KEYS[1], 'tally', tally)
  return ticket .. standing
end
if ring then
  if pieces then piece = table.concat(pieces) end
  text = text:sub(1, begun) .. piece .. text:sub(begun + added + 1)
  if not texts then
    redis.call('HSET', KEYS[1], 'tally', tally, name, text)
    return ticket .. standing
  end
  texts[ring] = text
end
local args = { 'tally', tally }
for base, field in pairs(texts) do
  args[#args + 1] = string.format('w%d', base / $CHUNK)
  args[#args + 1] = field
end
redis.call('HSET', KEYS[1], unpack(args))
return ticket .. standing
