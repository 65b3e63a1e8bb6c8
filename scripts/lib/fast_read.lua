-- Reading the first run and the tally. One ticket only, without a lease, in the
-- tally's own epoch and policy. The window must have the policy's shape and be as
-- sound as is_sound_tally demands.
local ticket, code, count, rest = results:match('^([1-9]%d*) ([sf])([1-9]%d*)()')
if asks then ticket, count = epoch, '' end -- of an admission there is no run
local found = ticket and redis.pcall('HGET', KEYS[1], 'tally')
if not found or found.err then break end
tally = found
local fingerprint, consecutive, kind, size = ARGV[2]:match('^(%w+) consecutive=(%d+) window=(%l+)/(%d+) ')
local fence, policy, streak_text, seq_text, place = tally:match('^$SCHEMA epoch=(%d+) policy=(%w+) streak=(%d+) seq=(%d+) win=()')
if fence ~= ticket or policy ~= fingerprint or #seq_text > 15 or #size > 10 or #count > 9 then break end
local streak, seq = streak_text + 0, seq_text + 0
if streak > seq or code == 'f' and consecutive ~= '0' and streak + count >= consecutive + 0 then break end
local streak_before, seq_before = streak, seq

-- A number whose name ends in _text is kept as text, to be written back as it is
-- if it does not change.
local starts, ends, its_size, shape_since, cell, clean
local calls_current, calls, fails_current, fails, slows, slows_text = 0, 0, 0, 0, 0, '0/0'
local fails_current_text, fails_text
if kind == 'none' then
  starts, ends = tally:find('none/0 since=0 cell=0 clean=0 calls=0/0 fail=0/0 slow=0/0 fast=', place, true)
  if starts ~= place then break end
elseif kind == 'time' then
  -- @include lib/fast_read_time.lua
else
  -- @include lib/fast_read_count.lua
end

-- The interval must hold now, and end before a TTL that an honest step would set.
local fast_from, fast_until, expires = tally:match('^(%d+)/(%d+) expires=(%d+)$', ends + 1)
if not fast_from then break end
time = clock()
local interval_end, ttl_end = fast_until + 0, expires + 0
if time < fast_from + 0 or time >= interval_end or ttl_end < interval_end or ttl_end - time > $MAX_TTL_MS then break end
if kind == 'time' and interval_end > (cell + 1) * math.floor((size + $BUCKETS - 1) / $BUCKETS) then break end
local fails_before = fails
