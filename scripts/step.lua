--[[
step.lua: one atomic step on one breaker: it ends an expired mode, applies results
of calls, then decides about admissions.

KEYS[1]  the record, a hash

ARGV[1]  "admissions rnd": calls that ask to be admitted, 0 to 10000; a random integer below 2^20
ARGV[2]  the policy's text, fingerprint first
ARGV[3]  optional: results: "epoch[.lease] runs" repeated, a run being a letter (s success, f failure, i ignored, S slow success, F slow failure, t trip now) and a number; "" for none; then "?" to ask for the standing
ARGV[4]  optional, with the next two: who reports, a token; "-" for none
ARGV[5]  the failures' own open time, in ms, 0 for none
ARGV[6]  the failures' error text, a token; "-" for none

Returns  "<epoch>": closed, auto, all admitted, all applied, no transition, the same policy
         "<epoch> <left>": open, auto, all rejected, no outcomes, no transition, the same policy; left is how long it stays open, in ms
         "<epoch> <granted> <ramp left> <share> <left>": closed, auto, during a ramp, no outcomes, no transition, the same policy; how long the ramp still lasts, in ms, the share that it admits, in 1/10 000, and when a rejected call should come again, in ms
         "<state> <mode> epoch=<n> left=<ms> mode_left=<ms> granted=<n> lease=<first> applied=<n> stale=<n> policy=<fingerprint>", then if any are stale " applied_each=<n>,<n>,...", how many outcomes of each result were applied, the first ones, during a ramp " ramp=<ms left>/<share>", if a probe outlived its lease " overdue=<ms>/<ms>", how long it took and its lease, then, a line each, the event of a transition if there was one ("<epoch before> <log entry>") and "!unpublished" if the server refused to publish it
         any of these and a line "=<streak> <seq> <calls> <failures> <slow> <leaving calls> <leaving failures> <leaving slow> <turn> <age> <other seq> <other turns>": the standing, if ARGV[3] asks for it and it is known, see engine.Standing
         "!type <type>": the key holds another type; nothing was written
         "!schema <n>": the record is of a newer layout; nothing was written
         "!clock <ms>": the server's clock is not from 1 to 2^42 - 1 ms, in the year 2109; nothing was written
         "!args <n>": ARGV[n] is not of the form above, and the step looks at it; nothing was written

Writes   HSET, HDEL, PERSIST, PEXPIRE, PUBLISH; in this order, each at most once; nothing for a rejection or an admission while closed

Invariants
         one transition at most; an outcome counts only in its own epoch and, for a probe, once while its round lasts; all is validated before anything is written
]]
local tally -- as the fast path found it, where it read it
-- @include lib/fast.lua
-- @include lib/clock.lua
-- @include lib/rules.lua
-- @include lib/record.lua
-- @include lib/machine.lua

local admissions, rnd = ARGV[1]:match('^(%d+) (%d+)$')
if not admissions or admissions + 0 > $MAX_BATCH or rnd + 0 >= $RND_LIMIT then return '!args 1' end
admissions, m.rnd = admissions + 0, rnd + 0

p = parse_rules(ARGV[2])
if not p then return '!args 2' end

local results, text = {}, ARGV[3] or ''
local asks = text:byte(-1) == 63
if asks then text = text:sub(1, -2) end
local reports = text ~= ''
if reports then
  local place = 1
  for start, epoch, lease, runs, stop in (text .. ' '):gmatch('()(%d+)%.?(%d*) (%S*) ()') do
    if start ~= place or runs:gsub('[sfiSFt]%d+', '') ~= '' then return '!args 3' end
    if lease == '' then lease = 0 end
    results[#results + 1] = { epoch = epoch + 0, lease = lease + 0, runs = runs }
    place = stop
  end
  if place ~= #text + 2 then return '!args 3' end
end
if ARGV[4] then
  if not ARGV[4]:find('^[%w%._%%-]+$') then return '!args 4' end
  if not ARGV[5]:find('^%d+$') then return '!args 5' end
  if not ARGV[6]:find('^[%w%._%%-]+$') then return '!args 6' end
  m.reporter, m.failure_ms, m.failure_text = ARGV[4], ARGV[5] + 0, ARGV[6]
end

local refused = m.load_record(tally)
if refused then return refused end
local needs_clock = m.needs_clock(reports or asks)
if needs_clock then
  m.now = time or clock()
  if m.now < 1 or m.now > $MAX_CLOCK then return string.format('!clock %d', m.now) end
  if m.exists then m.parse_tally(m.tally) end
end
if m.prepare_record() and needs_clock then
  m.reanchor_times()
  m.end_expired_mode()
  if reports and m.ramp_ms > 0 then m.end_ramp() end
end
local reply = { granted = 0, first_lease = 0, applied_each = {} }
for i = 1, #results do reply.applied_each[i] = m.settle_result(results[i]) end
m.by, m.text, m.own_ms = '-', '-', 0
m.admit_calls(admissions, reply)
m.renew_ttl(reports)
local standing = asks and m.standing() or ''
m.save_record()
return m.build_reply(admissions, reply) .. standing
