-- The record in memory. Every script reads the head and the tally; the other
-- fields are read only by the step that needs them, and a damaged field makes that
-- step renew the record.

-- m is the step in progress: the record (all times in ms of the server's clock),
-- what the step has done, and the functions of the machine. Lua makes its table for
-- as many fields as it begins with, in powers of two: with more than 64 it has room
-- for the functions too. The other fields of a round are set where it is read or
-- begun: so m stays within 128 fields for any step, and its table need not grow.
local m = {
  exists = false, head_readable = true, tally = '', tally_readable = true,
  state = 'closed', mode = 'auto', epoch = 0, fingerprint = '', since = 0, until_ms = 0, open_for = 0, trips = 0, newest = 0,
  ramp_ms = 0, ramp_from = 0,
  mode_until = 0, mode_for = 0, mode_reason = '-', mode_by = '-',
  probes = 0, successes = 0, lease_ms = 0,
  streak = 0, seq = 0, kind = 'none', size = 0, shape_since = 0, cell = 0, clean = 0,
  calls_current = 0, calls_all = 0, fails_current = 0, fails_all = 0, slows_current = 0, slows_all = 0,
  fast_from = 0, fast_until = 0, expires = 0, reporters = false, mode_readable = 'unread',

  now = 0, rnd = 0, reporter = '-', failure_text = '-', failure_ms = 0, by = '-', text = '-', own_ms = 0,
  wrote = false, wrote_head = false, wrote_tally = false, wrote_round = false, wrote_mode = false, wrote_reporters = false,
  wrote_cells = {}, cells = {}, removed = {}, resets_fast = false, persist = false, pexpire = 0, transitions = {}, unpublished = false, applied = 0,
  stale = 0, overdue_ms = 0, overdue_lease_ms = 0,
}

local p -- the rules of the caller's policy

-- bucket_ms is the length of one of the ten buckets of a time window.
local function bucket_ms(size) return math.floor((size + $BUCKETS - 1) / $BUCKETS) end

-- @include lib/head.lua
-- @include lib/tally.lua
-- @include lib/codec.lua

