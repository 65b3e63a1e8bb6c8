-- The tally as text, and the standing. A step that changed nothing (successes that a
-- count window full of them absorbs) writes nothing.
if seq ~= seq_before then
  streak_text, seq_text = string.format('%d', streak), string.format('%d', seq)
elseif streak == 0 then
  streak_text = '0'
end
if kind == 'time' and fails ~= fails_before then
  fails_current_text, fails_text = string.format('%d', fails_current), string.format('%d', fails)
end
if asks then
  -- @include lib/fast_standing.lua
end
if kind ~= 'time' and streak == streak_before and seq == seq_before then return ticket .. standing end
if kind == 'none' then
  tally = '$SCHEMA epoch=' .. ticket .. ' policy=' .. fingerprint .. ' streak=' .. streak_text .. ' seq=' .. seq_text ..
    ' win=none/0 since=0 cell=0 clean=0 calls=0/0 fail=0/0 slow=0/0 fast=' .. fast_from .. '/' .. fast_until ..
    ' expires=' .. expires
elseif kind == 'time' then
  if calls > $MAX_TALLY then break end
  tally = '$SCHEMA epoch=' .. ticket .. ' policy=' .. fingerprint .. ' streak=' .. streak_text .. ' seq=' .. seq_text ..
    ' win=time/' .. size .. ' since=' .. shape_since .. ' cell=' .. cell ..
    string.format(' clean=0 calls=%d/%d fail=', calls_current, calls) .. fails_current_text .. '/' .. fails_text ..
    ' slow=' .. slows_text .. ' fast=' .. fast_from .. '/' .. fast_until .. ' expires=' .. expires
else
  tally = '$SCHEMA epoch=' .. ticket .. ' policy=' .. fingerprint .. ' streak=' .. streak_text .. ' seq=' .. seq_text ..
    ' win=count/' .. its_size .. ' since=' .. shape_since ..
    string.format(' cell=%d clean=%d calls=0/%d fail=0/%d slow=0/%d fast=', cell, clean, calls, fails, slows) ..
    fast_from .. '/' .. fast_until .. ' expires=' .. expires
end
-- @include lib/fast_write_ring.lua
