--[[
since.lua: a record without its counts, and its transitions since a known one.

KEYS[1]  the record, a hash

ARGV[1]  the epoch that is known, 0 for none

Returns  {now, field, value, field, value, ...}: the server's time in ms, then head, mode, round and log entries, where they exist; mode and round only where the head makes them matter; the log from its newest entry back to that of the known epoch, whole if it has no such entry
         "!type <type>": the key holds another type
         "!args <n>": ARGV[n] is not of the form above

Writes   nothing

Invariants
         the record is read at one instant; the head may be of any layout
]]
-- @include lib/clock.lua

if not ARGV[1]:find('^%d+$') then return '!args 1' end
local head = redis.pcall('HGET', KEYS[1], 'head')
if type(head) == 'table' then
  local kind = redis.call('TYPE', KEYS[1]).ok
  if kind == 'hash' then return head end
  return '!type ' .. kind
end
local reply = { string.format('%d', clock()) }
if head then reply[2], reply[3] = 'head', head end
local newest = head and head:match(' n=(%d+)') or '0'

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

-- add_entries adds the names of log entries, counted from the newest one back.
local function add_entries(names, first, last)
  for i = first, last do names[#names + 1] = string.format('log:%02d', (newest - i) % $LOG_SLOTS) end
  return names
end

local recent = {}
if not head or not head:find(' closed auto ', 1, true) then recent = { 'mode', 'round' } end
if not add_fields(add_entries(recent, 0, 2)) then add_fields(add_entries({}, 3, $LOG_SLOTS - 1)) end
return reply
