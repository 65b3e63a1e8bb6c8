-- The policy as text, as rules.go encodes it.


local function within(n, lo, hi) return lo <= n and n <= hi end

-- is_sound_shape reports whether the kind is known and the size is within its range.
local function is_sound_shape(kind, size)
  if kind == 'none' then return size == 0 end
  if kind == 'count' then return within(size, 1, $MAX_CALLS) end
  return kind == 'time' and within(size, 1, $MAX_MS)
end

-- parse_rules returns the rules, or nil for text of another form. Here as elsewhere
-- a text is read by several matches of a few captures: one match with many captures
-- costs more than all of them together. The rules of what follows an open period are
-- left to parse_recovery_rules, because most steps do not need them: the other 16 fit
-- a table of half the size.
local function parse_rules(text)
  local fingerprint, consecutive, kind, size, place = text:match('^([%w%._%%-]+) consecutive=(%d+) window=(%a+)/(%d+) count=()')
  if not fingerprint or #fingerprint ~= 8 then return nil end
  local count, rate, slow_rate, slow_ms, place = text:match('^(%d+) rate=(%d+) slow=(%d+)/(%d+) min=()', place)
  local min_calls, open_ms, multiplier, max_ms, place = text:match('^(%d+) open_for=(%d+) backoff=(%d+)/(%d+)/()', place)
  local jitter, reporters, idle_ms = text:match(
    '^(%d+) half_open=%d+/%d+/%d+/%d+ initial=[%l_]+/[%l_]+ ramp=%d+/%d+ reporters=(%d+) idle=(%d+)$', place)
  if not idle_ms then return nil end
  return {
    text = text, fingerprint = fingerprint, consecutive = consecutive + 0, kind = kind, size = size + 0,
    count = count + 0, rate = rate + 0, slow_rate = slow_rate + 0, slow_ms = slow_ms + 0, min_calls = min_calls + 0,
    open_ms = open_ms + 0, multiplier = multiplier + 0, max_ms = max_ms + 0, jitter = jitter + 0,
    reporters = reporters + 0, idle_ms = idle_ms + 0,
  }
end

-- parse_recovery_rules adds the rules of what follows an open period, and of how a
-- record begins. parse_rules has found their text sound.
local function parse_recovery_rules(rules)
  local probes, successes, lease_ms, allow_slow, place = rules.text:match(' half_open=(%d+)/(%d+)/(%d+)/(%d+) initial=()')
  rules.probes, rules.successes, rules.lease_ms, rules.allow_slow = probes + 0, successes + 0, lease_ms + 0, allow_slow + 0
  local state, mode, ramp_ms, ramp_from = rules.text:match('^([%l_]+)/([%l_]+) ramp=(%d+)/(%d+)', place)
  rules.initial_state, rules.initial_mode, rules.ramp_ms, rules.ramp_from = state, mode, ramp_ms + 0, ramp_from + 0
end
