-- The tally as text: the mirror of tally.go.

local NO_WINDOW = 'none/0 since=0 cell=0 clean=0 calls=0/0 fail=0/0 slow=0/0 fast=' -- of a tally

-- is_counting reports whether outcomes without a lease are counted.
local function is_counting() return m.state == 'closed' and (m.mode == 'auto' or m.mode == 'shadow') end

-- fence_epoch returns the epoch that the tally carries: 0 unless closed and
-- auto. So a script can decide about an outcome from the tally alone, without
-- reading the head.
local function fence_epoch()
  if m.state == 'closed' and m.mode == 'auto' then return m.epoch end
  return 0
end

-- is_sound_tally reports whether an honest step could have written the tally.
local function is_sound_tally()
  if m.streak > m.seq or not is_sound_shape(m.kind, m.size) or m.calls_all > $MAX_TALLY or m.fast_from > m.fast_until or
    m.fails_current > m.calls_current or m.slows_current > m.calls_current or m.fails_all > m.calls_all or m.slows_all > m.calls_all or
    m.calls_current > m.calls_all or m.fails_current > m.fails_all or m.slows_current > m.slows_all then
    return false
  end
  if m.kind == 'count' then
    local bad = m.fails_all + m.slows_all
    local full = m.calls_all == m.size
    return m.calls_current == 0 and m.calls_all <= m.size and m.clean <= m.calls_all and
      (full and m.cell < m.size or not full and m.cell == m.calls_all) and
      (bad == 0) == (m.clean == m.calls_all) and math.max(m.fails_all, m.slows_all) <= m.calls_all - m.clean
  elseif m.kind == 'time' then
    -- An interval that exceeds the bucket would keep the window from moving on.
    return m.clean == 0 and m.fast_until <= (m.cell + 1) * bucket_ms(m.size)
  end
  return m.shape_since == 0 and m.cell == 0 and m.clean == 0 and m.calls_all == 0
end

local function clear_tally()
  m.streak, m.seq, m.kind, m.size, m.shape_since, m.cell, m.clean, m.fast_from, m.fast_until = 0, 0, 'none', 0, 0, 0, 0, 0, 0
  m.calls_current, m.calls_all, m.fails_current, m.fails_all, m.slows_current, m.slows_all = 0, 0, 0, 0, 0, 0
end

-- scan_tally reads the text's numbers into m, where the numbers of
-- an empty window already are. It returns the epoch, the fingerprint and the largest
-- number, or nil.
local function scan_tally(text)
  local epoch, fingerprint, streak, seq, place = text:match('^$SCHEMA epoch=(%d+) policy=([%w%._%%-]+) streak=(%d+) seq=(%d+) win=()')
  if not epoch then return nil end
  local largest = 0
  local start, stop = text:find(NO_WINDOW, place, true)
  if start == place then
    place = stop + 1
  else
    local kind, size, stood, cell, place2 = text:match('^([%w%._%%-]+)/(%d+) since=(%d+) cell=(%d+) clean=()', place)
    local clean, calls_now, calls_all, fails_now, place3 = text:match('^(%d+) calls=(%d+)/(%d+) fail=(%d+)/()', place2)
    local fails_all, slows_now, slows_all, place4 = text:match('^(%d+) slow=(%d+)/(%d+) fast=()', place3)
    if not place4 then return nil end
    m.kind, m.size, m.shape_since, m.cell, m.clean = kind, size + 0, stood + 0, cell + 0, clean + 0
    m.calls_current, m.calls_all, m.fails_current, m.fails_all = calls_now + 0, calls_all + 0, fails_now + 0, fails_all + 0
    m.slows_current, m.slows_all = slows_now + 0, slows_all + 0
    largest = math.max(m.size, m.shape_since, m.cell, m.clean, m.calls_current, m.calls_all, m.fails_current, m.fails_all, m.slows_current, m.slows_all)
    place = place4
  end
  local fast_from, fast_until, expires = text:match('^(%d+)/(%d+) expires=(%d+)$', place)
  if not fast_from then return nil end
  m.streak, m.seq, m.fast_from, m.fast_until, m.expires = streak + 0, seq + 0, fast_from + 0, fast_until + 0, expires + 0
  return epoch + 0, fingerprint, math.max(epoch + 0, m.streak, m.seq, m.fast_from, m.fast_until, m.expires, largest)
end

-- parse_tally reads the tally. Outside closed only its expiry matters. In
-- closed it must carry the head's epoch and policy, or it belongs to another
-- time.
function m.parse_tally(text)
  local epoch, fingerprint, largest = scan_tally(text)
  local reads = epoch and largest <= $MAX_INT and
    (not is_counting() or epoch == fence_epoch() and fingerprint == m.fingerprint and is_sound_tally())
  if not reads then m.tally_readable, m.expires = false, 0 end
  if not reads or not is_counting() then clear_tally() end
end

-- tally_text writes the tally.
local function tally_text()
  if m.seq == 0 and m.kind == 'none' then
    return string.format('$SCHEMA epoch=%d policy=%s streak=0 seq=0 win=' .. NO_WINDOW .. '%d/%d expires=%d', fence_epoch(),
      m.fingerprint, m.fast_from, m.fast_until, m.expires)
  end
  return string.format('$SCHEMA epoch=%d policy=%s streak=%d seq=%d win=%s/%d since=%d cell=%d clean=%d calls=%d/%d fail=%d/%d ' ..
    'slow=%d/%d fast=%d/%d expires=%d', fence_epoch(), m.fingerprint, m.streak, m.seq, m.kind, m.size, m.shape_since, m.cell, m.clean,
    m.calls_current, m.calls_all, m.fails_current, m.fails_all, m.slows_current, m.slows_all, m.fast_from, m.fast_until, m.expires)
end
