-- What a window holds: the mirror of cells.go. A bucket or a part of the ring is
-- read from Redis when it is needed.

-- failure_of returns 1 for a failure, else 0.
function m.failure_of(code)
  if code == 'f' or code == 'F' then return 1 end
  return 0
end

-- slow_of returns 1 for a slow call, else 0.
function m.slow_of(code)
  if code == 'S' or code == 'F' then return 1 end
  return 0
end

-- outcomes_until_turn returns how many outcomes the window takes before the
-- policy's shape may replace its own: until a count window of another shape is
-- full. A batch must equal its outcomes one by one, so a run is cut there.
function m.outcomes_until_turn()
  if m.kind == 'count' and p.kind ~= 'none' and not m.same_shape() and m.calls_all < m.size then
    return m.size - m.calls_all
  end
  return $MAX_INT
end

-- rotate_buckets stores the current bucket and adds up the buckets that the
-- window still covers. It adds them up instead of subtracting those that leave,
-- so that a damaged sum does not live on. It returns false if one of them is
-- damaged.
function m.rotate_buckets(bucket)
  local cells = m.parse_cells()
  if not cells then return false end
  local put = { bucket = m.cell, calls = m.calls_current, fails = m.fails_current, slows = m.slows_current }
  cells[m.cell % $BUCKETS] = put
  m.wrote_cells[m.cell % $BUCKETS] = m.cell_text(put)
  local calls, fails, slows = 0, 0, 0
  for _, c in pairs(cells) do
    if c.bucket > bucket - $BUCKETS and c.bucket < bucket then
      calls, fails, slows = calls + c.calls, fails + c.fails, slows + c.slows
    end
  end
  if calls > $MAX_TALLY then return false end -- no honest window counts so many
  m.cell = bucket
  m.calls_current, m.fails_current, m.slows_current = 0, 0, 0
  m.calls_all, m.fails_all, m.slows_all = calls, fails, slows
  m.wrote, m.wrote_tally, m.resets_fast = true, true, true
  return true
end

-- count_successes counts n fast successes. They are not judged: no rule can
-- begin to apply because of a success. A count window that holds nothing but
-- successes stays as it is, so that a healthy breaker writes nothing.
function m.count_successes(n)
  if m.streak > 0 then
    m.streak = 0
    m.wrote, m.wrote_tally = true, true
  end
  if m.kind == 'time' then
    m.add_calls(n, 0, 0)
  elseif m.kind == 'count' then
    local moved = math.min(n, m.size - m.clean)
    local pushed = moved
    if moved == m.size - m.clean and moved > $CHUNK then
      m.fill_ring(moved)
    else
      pushed = m.push_outcomes('s', moved)
    end
    m.seq = m.seq + pushed
    m.clean = m.clean + pushed
    if pushed < moved then
      m.applied = m.applied + pushed
      m.renew_record('healed')
      return
    end
  end
  m.applied = m.applied + n
end

-- fill_ring puts n successes into a ring that then holds nothing else, so that it does
-- not have to read what they replace.
function m.fill_ring(n)
  while n > 0 do
    local i, from = math.floor(m.cell / $CHUNK), m.cell % $CHUNK
    local text = ('s'):rep(math.min($CHUNK, m.size - i * $CHUNK))
    m.cells[i], m.wrote_cells[i] = text, text
    local part = math.min(n, $CHUNK - from, m.size - m.cell)
    m.cell, n = (m.cell + part) % m.size, n - part
  end
  m.calls_all, m.fails_all, m.slows_all = m.size, 0, 0
  m.wrote, m.wrote_tally = true, true
end

-- add_calls adds to the current bucket and to the whole window. A window that holds
-- MAX_TALLY calls takes in no more until some leave it: the rates of so many calls do
-- not change by a few, and a sum beyond it would be taken for damage.
function m.add_calls(calls, fails, slows)
  local n = math.min(calls, $MAX_TALLY - m.calls_all)
  if n < calls then fails, slows = 0, 0 end
  calls = n
  m.calls_current, m.calls_all = m.calls_current + calls, m.calls_all + calls
  m.fails_current, m.fails_all = m.fails_current + fails, m.fails_all + fails
  m.slows_current, m.slows_all = m.slows_current + slows, m.slows_all + slows
  m.wrote, m.wrote_tally = true, true
end

-- push_outcomes puts n equal outcomes into the ring of a count window, each in
-- place of the oldest once the ring is full. It returns how many it put in:
-- fewer if a part of the ring is damaged.
function m.push_outcomes(code, n)
  local pushed = 0
  while pushed < n do
    local part = math.min(n - pushed, $CHUNK - m.cell % $CHUNK, m.size - m.cell)
    if not m.push_within_chunk(code, part) then break end
    pushed = pushed + part
  end
  return pushed
end

-- push_within_chunk puts n outcomes into one field of the ring. It returns
-- false if that field is damaged.
function m.push_within_chunk(code, n)
  local i, from = math.floor(m.cell / $CHUNK), m.cell % $CHUNK
  local full = m.calls_all == m.size
  local text = ''
  if full or from > 0 then
    text = m.parse_chunk(i)
    if not text then return false end
  end
  local fails, slows = 0, 0
  if full then
    local old = text:sub(from + 1, from + n)
    local _, count = old:gsub('[fF]', '')
    fails = count
    _, count = old:gsub('[SF]', '')
    slows = count
    if fails > m.fails_all or slows > m.slows_all then return false end
  else
    m.calls_all = m.calls_all + n
  end
  text = text:sub(1, from) .. code:rep(n) .. text:sub(from + n + 1)
  m.cells[i], m.wrote_cells[i] = text, text
  m.fails_all = m.fails_all + n * m.failure_of(code) - fails
  m.slows_all = m.slows_all + n * m.slow_of(code) - slows
  m.cell = (m.cell + n) % m.size
  m.wrote, m.wrote_tally = true, true
  return true
end
