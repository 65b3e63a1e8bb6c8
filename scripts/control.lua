--[[
control.lua: an operator's command on one breaker.

KEYS[1]  the record, a hash

ARGV[1]  "action for rnd": trip, half_open, reset, force_open, force_closed, shadow or release; how long, in ms, 0 for the policy's time or until released; a random integer below 2^20
ARGV[2]  the policy's text, fingerprint first
ARGV[3]  "own" to act by ARGV[2], "stored" to act by the record's policy where it has one that reads well
ARGV[4]  the epoch that the record must have: 0 for any, -1 for no record
ARGV[5]  who commands, a token; "-" for none
ARGV[6]  the reason, a token; "-" for none

Returns  {verdict, now, events, field, value, field, value, ...}: "done", "conflict" (another epoch) or "forced" (refused in a forced mode); the server's time in ms; the events of the transitions made, a line each: the epoch before, then the log entry, and "!unpublished" if the server refused to publish one; then the record as it is now
         "!type <type>": the key holds another type; nothing was written
         "!schema <n>": the record is of a newer layout; nothing was written
         "!clock <ms>": the server's clock is not from 1 to 2^42 - 1 ms, in the year 2109; nothing was written
         "!args <n>": ARGV[n] is not of the form above; nothing was written

Writes   HSET, HDEL, PERSIST, PEXPIRE, PUBLISH; in this order, PUBLISH at most twice, the others at most once

Invariants
         a conflict writes nothing; an expired mode ends before the command acts
]]
-- @include lib/clock.lua
-- @include lib/rules.lua
-- @include lib/record.lua
-- @include lib/machine.lua
-- @include lib/control.lua

local action, for_ms, rnd = ARGV[1]:match('^([%l_]+) (%d+) (%d+)$')
if not ACTIONS[action] or for_ms + 0 > $MAX_MS or rnd + 0 >= $RND_LIMIT then return '!args 1' end
for_ms, m.rnd = for_ms + 0, rnd + 0
local own = parse_rules(ARGV[2])
if not own then return '!args 2' end
parse_recovery_rules(own)
if ARGV[3] ~= 'own' and ARGV[3] ~= 'stored' then return '!args 3' end
if not ARGV[4]:find('^%-?%d+$') then return '!args 4' end
if not ARGV[5]:find('^[%w%._%%-]+$') then return '!args 5' end
if not ARGV[6]:find('^[%w%._%%-]+$') then return '!args 6' end
local if_epoch = ARGV[4] + 0
m.by, m.text = ARGV[5], ARGV[6]

local refused = m.load_record()
if refused then return refused end
m.now = clock()
if m.now < 1 or m.now > $MAX_CLOCK then return string.format('!clock %d', m.now) end
if m.exists then m.parse_tally(m.tally) end
p = own
if ARGV[3] == 'stored' then
  local stored = parse_rules(redis.call('HGET', KEYS[1], 'policy') or '')
  if stored then
    parse_recovery_rules(stored)
    if is_sound_rules(stored) then p = stored end
  end
end
local verdict = m.control(if_epoch, action, for_ms)
m.save_record()

local events = {}
for i, move in ipairs(m.transitions) do events[i] = move.event end
if m.unpublished then events[#events + 1] = '!unpublished' end
local reply = { verdict, string.format('%d', m.now), table.concat(events, '\n') }
for _, text in ipairs(redis.call('HGETALL', KEYS[1])) do reply[#reply + 1] = text end
return reply
