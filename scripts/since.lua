--[[
since.lua: a record without its counts, and its transitions since a known one.

KEYS[1]  the record, a hash

ARGV[1]  the epoch that is known, 0 for none

Returns  {now, field, value, field, value, ...}: the server's time in ms, then head, mode, round and log entries, where they exist; the log from its newest entry back to that of the known epoch, whole if it has no such entry
         "!type <type>": the key holds another type
         "!args <n>": ARGV[n] is not of the form above

Writes   nothing

Invariants
         the record is read at one instant; the head may be of any layout
]]
-- @include lib/clock.lua

if not ARGV[1]:find('^%d+$') then return '!args 1' end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then return '!type ' .. kind end
local reply = { string.format('%d', clock()) }

-- add_fields reads fields into the reply, and reports whether the entry of the
-- known epoch is among them.
local function add_fields(names)
  local known = false
  for i, text in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
    if text then
      reply[#reply + 1] = names[i]
      reply[#reply + 1] = text
      known = known or text:match('^%d+ (%d+) ') == ARGV[1]
    end
  end
  return known
end

add_fields({ 'head', 'mode', 'round' })
local newest = reply[3] and reply[3]:match(' n=(%d+)') or '0'
local recent, older = {}, {}
for i = 0, $LOG_SLOTS - 1 do
  local names = i < 3 and recent or older
  names[#names + 1] = string.format('log:%02d', (newest - i) % $LOG_SLOTS)
end
if not add_fields(recent) then add_fields(older) end
return reply
