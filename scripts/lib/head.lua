-- The head as text: the mirror of head.go.

local function is_known_state(name) return name == 'closed' or name == 'open' or name == 'half_open' end

local function is_known_mode(name)
  return name == 'auto' or name == 'forced_open' or name == 'forced_closed' or name == 'shadow'
end

-- is_sound_head reports whether an honest step could have written the head. A
-- head that contradicts itself is as damaged as one that does not parse: taken
-- as it is, it could keep a circuit open without end.
local function is_sound_head()
  return within(m.epoch, 1, $MAX_EPOCH) and m.since <= $MAX_INT and m.until_ms <= $MAX_INT and
    m.open_for <= $MAX_MS and m.trips <= $MAX_TRIPS and within(m.newest, 1, $MAX_NUMBER) and
    (m.trips == 0 or m.open_for > 0) and
    (m.state == 'open') == (m.until_ms > 0) and (m.state ~= 'open' or m.trips > 0) and
    (m.state == 'closed' or m.mode == 'auto' or m.mode == 'shadow') and
    (m.ramp_ms == 0 or m.state == 'closed' and m.ramp_ms <= $MAX_MS and within(m.ramp_from, 1, $SCALE))
end

-- parse_head reads the head; one that is damaged is salvaged.
local function parse_head(text)
  local version, state, mode, epoch, fingerprint, place = text:match(
    '^(%d+) (%S+) (%S+) epoch=(%d+) policy=([%w%._%%-]+) since=()')
  local since, until_ms, open_for, trips, newest, place = text:match('^(%d+) until=(%d+) open_for=(%d+) trips=(%d+) n=(%d+)()', place)
  if version and newest and version + 0 == $SCHEMA and is_known_state(state) and is_known_mode(mode) then
    m.state, m.mode, m.epoch, m.fingerprint = state, mode, epoch + 0, fingerprint
    m.since, m.until_ms, m.open_for, m.trips, m.newest = since + 0, until_ms + 0, open_for + 0, trips + 0, newest + 0
    local reads = place > #text
    if not reads then
      local ramp_end, ramp_ms, ramp_from = text:match('^ ramp=(%d+)/(%d+)/(%d+)$', place)
      if ramp_end then
        m.ramp_ms, m.ramp_from = ramp_ms + 0, ramp_from + 0
        reads = m.ramp_ms > 0 and ramp_end + 0 == m.since + m.ramp_ms
      end
    end
    if reads and is_sound_head() then return end
  end
  m.head_readable = false
  m.salvage_head(text)
end

-- head_text writes the head.
local function head_text()
  local ramp = ''
  if m.ramp_ms > 0 then ramp = string.format(' ramp=%d/%d/%d', m.since + m.ramp_ms, m.ramp_ms, m.ramp_from) end
  return '1 ' .. m.state .. ' ' .. m.mode .. string.format(' epoch=%d policy=', m.epoch) .. m.fingerprint ..
    string.format(' since=%d until=%d open_for=%d trips=%d n=%d', m.since, m.until_ms, m.open_for, m.trips, m.newest) .. ramp
end
