--[[
enrol.lua: enters breakers into a part of the namespace's index, and removes some
whose time is over.

KEYS[1]  a part of the index, a sorted set of names by the time until which they are listed

ARGV[1]  how long they are listed, in ms; "inf" until they are entered again
ARGV[2]  encoded names, separated by spaces, 1 to 500

Returns  "<stamp>": when the part was created: a part that was lost has another one
         "!type <type>": the key holds another type; nothing was written
         "!args <n>": ARGV[n] is not of the form above; nothing was written

Writes   ZADD, ZREM; in this order, each at most once

Invariants
         the member # is the stamp, and is never removed: no name is encoded to begin with it
]]
-- @include lib/clock.lua

local forever = ARGV[1] == 'inf'
if not forever and not (ARGV[1]:find('^%d+$') and ARGV[1] + 0 <= $MAX_TTL_MS) then return '!args 1' end
if not ARGV[2]:find('[^ ]') then return '!args 2' end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then return '!type ' .. kind end

local now, ends = clock(), '+inf'
if not forever then ends = string.format('%d', now + ARGV[1]) end
now = string.format('%d', now)
local entries = {}
for name in ARGV[2]:gmatch('[^ ]+') do
  entries[#entries + 1] = ends
  entries[#entries + 1] = name
end
if not redis.call('ZSCORE', KEYS[1], '#') then
  entries[#entries + 1] = now
  entries[#entries + 1] = '#'
end
redis.call('ZADD', KEYS[1], unpack(entries))

-- A bounded number at a time: it adds up, since every process does it.
local over = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', '0', '16')) do
  if name ~= '#' then over[#over + 1] = name end
end
if #over > 0 then redis.call('ZREM', KEYS[1], unpack(over)) end
return redis.call('ZSCORE', KEYS[1], '#')
