--[[
inspect.lua: reads a record and changes nothing.

KEYS[1]  the record, a hash

ARGV     none

Returns  {now, field, value, field, value, ...}: the server's time in ms, then the record in no particular order
         "!type <type>": the key holds another type

Writes   nothing

Invariants
         the record is read at one instant, whatever it holds
]]
-- @include lib/clock.lua

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then return '!type ' .. kind end
local reply = { string.format('%d', clock()) }
for _, text in ipairs(redis.call('HGETALL', KEYS[1])) do reply[#reply + 1] = text end
return reply
