-- The fast path answers the common steps before the rest of the script is defined:
-- admissions while closed, rejections while open, and runs of successes and
-- failures that cannot trip the circuit.
--
-- The scheme: an admission or a rejection needs only `head`, in half-open also the
-- first words of `round`. Outcomes need only `tally`, which has the epoch and the
-- policy that it belongs to, and an interval fast=<from>/<until> in which counting
-- changes neither the time window's bucket nor the TTL. A step within that interval
-- counts its runs in local variables and writes the tally back. Whatever does not
-- fit (another policy, a slow call, a run that could trip, a field that is not
-- sound) breaks out of the loop that runs once, and the rest of the script starts
-- from the unchanged record, and decides alike: the twin tests compare both ways.
--
-- Cutting texts, reading numbers and defining functions cost the server most. So
-- these files define no function, match a few captures at a time, check the size
-- of a number by its digits, and ignore the arguments that they do not use.
local time -- the server's time, once it is read
local results = ARGV[3] or ''
local head = (results == '' or results == '?') and redis.pcall('HGET', KEYS[1], 'head')
local asks, standing = false, '' -- whether the step asks for the standing, and that line of the reply
-- @include lib/fast_admit.lua
-- @include lib/clock.lua
-- @include lib/fast_reject.lua
-- @include lib/fast_ramp.lua
-- @include lib/fast_reject_probing.lua
repeat -- runs once: break leaves the step to the rest of the script
  -- @include lib/fast_read.lua

  local most, rate, slow_rate, min_calls -- the policy's rules on the window, read with the first failure
  -- The ring's field that changes: its first place (ring), name and text, and the letters
  -- that go into it from the place begun on, in one piece or several. texts has the
  -- fields before it.
  local ring, name, text, texts, piece, pieces
  local begun, added = 0, 0
  while code do
    -- @include lib/fast_count.lua
    -- @include lib/fast_judge.lua
    -- @include lib/fast_next.lua
  end
  if code then break end
  -- @include lib/fast_write.lua
until true
