-- The fields that only some steps need, as text: the mirror of fields.go.

-- salvage_head takes from a damaged head what it can: the epoch, so that the
-- next one is higher, and the mode, so that an operator's decision survives.
function m.salvage_head(text)
  m.state, m.mode, m.epoch, m.fingerprint = 'closed', 'auto', 0, ''
  m.since, m.until_ms, m.open_for, m.trips, m.newest = 0, 0, 0, 0, 0
  m.ramp_ms, m.ramp_from = 0, 0
  local mode = text:match('^[^ ]* [^ ]* ([^ ]*) ')
  if is_known_mode(mode) then m.mode = mode end
  local epoch = text:match(' epoch=(%d+)')
  if epoch and within(epoch + 0, 1, $MAX_EPOCH) then m.epoch = epoch + 0 end
end

-- parse_mode reads what a mode other than auto carries.
function m.parse_mode()
  if m.mode_readable == 'unread' then
    local text = redis.call('HGET', KEYS[1], 'mode') or ''
    local until_ms, for_ms, reason, by = text:match('^until=(%d+) for=(%d+) reason=([%w%._%%-]+) by=([%w%._%%-]+)$')
    m.mode_readable = until_ms ~= nil and
      until_ms + 0 <= $MAX_INT and (until_ms + 0 > 0) == (for_ms + 0 > 0) and for_ms + 0 <= $MAX_MS
    if m.mode_readable then
      m.mode_until, m.mode_for, m.mode_reason, m.mode_by = until_ms + 0, for_ms + 0, reason, by
    end
  end
  return m.mode_readable
end

-- mode_text writes what a mode other than auto carries.
function m.mode_text()
  return string.format('until=%d for=%d reason=%s by=%s', m.mode_until, m.mode_for, m.mode_reason, m.mode_by)
end

-- parse_cells reads the window's other buckets, or the ring of a count window.
function m.parse_cells()
  local cells = {}
  local got = redis.call('HMGET', KEYS[1], 'w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'w8', 'w9')
  for i = 0, $BUCKETS - 1 do
    local text = got[i + 1]
    if text and text ~= '' and i ~= m.cell % $BUCKETS then
      cells[i] = m.parse_cell(i, text)
      if not cells[i] then return nil end
    end
  end
  return cells
end

-- parse_cell reads one bucket. It must lie in its own place: bucket b is in field b
-- mod 10.
function m.parse_cell(i, text)
  local bucket, calls, fails, slows = text:match('^(%d+) (%d+) (%d+) (%d+)$')
  if not bucket or math.max(bucket + 0, calls + 0) > $MAX_INT or
    bucket % $BUCKETS ~= i or calls + 0 > $MAX_TALLY or fails + 0 > calls + 0 or slows + 0 > calls + 0 then
    return nil
  end
  return { bucket = bucket + 0, calls = calls + 0, fails = fails + 0, slows = slows + 0 }
end

-- cell_text writes a bucket of a time window.
function m.cell_text(c) return string.format('%d %d %d %d', c.bucket, c.calls, c.fails, c.slows) end

-- parse_chunk reads one field of the ring of a count window.
function m.parse_chunk(i)
  if not m.cells[i] then
    local text = redis.call('HGET', KEYS[1], string.format('w%d', i)) or ''
    if #text ~= math.min($CHUNK, m.calls_all - i * $CHUNK) or not text:find('^[sfSF]*$') then return nil end
    m.cells[i] = text
  end
  return m.cells[i]
end

-- parse_reporters reads reporters, newest first, each once, with falling
-- numbers.
function m.parse_reporters()
  if m.reporters then return true end
  local text = redis.call('HGET', KEYS[1], 'rep') or ''
  m.reporters = {}
  if text == '' then return true end
  -- Those of the record, not of this step, which may have counted more by now.
  local newest, known = m.tally:match(' seq=(%d+) ') + 0, {}
  for part in (text .. ' '):gmatch('([^ ]*) ') do
    local by, seq, bucket = part:match('^([%w%._%%-]+):(%d+):(%d+)$')
    if not by or not within(seq + 0, 1, newest) or bucket + 0 > $MAX_INT or known[by] or #m.reporters == $MAX_REPORTERS then
      m.reporters = false
      return false
    end
    newest, known[by] = seq - 1, true
    m.reporters[#m.reporters + 1] = { by = by, seq = seq + 0, bucket = bucket + 0 }
  end
  return true
end

-- reporters_text writes the reporters.
function m.reporters_text()
  local places = {}
  for i, p in ipairs(m.reporters) do places[i] = string.format('%s:%d:%d', p.by, p.seq, p.bucket) end
  return table.concat(places, ' ')
end
