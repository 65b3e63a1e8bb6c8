-- The common cases, before anything else is defined or parsed: admissions while
-- closed, rejections while open, and one run of successes or failures that cannot
-- trip. Each is an HGET, then for some TIME, then for some an HSET. What is not
-- certain here is left to the rest of the script, which starts from
-- the unchanged record: without this file no verdict would be another.

local time -- the server's time, once it was read

-- admit_fast answers admissions alone; nil if it is not certain.
local function admit_fast()
  local asked, chance = ARGV[1]:match('^(%d+) (%d+)$')
  if not asked or asked + 0 > 10000 or chance + 0 >= 1048576 then return nil end
  local head = redis.pcall('HGET', KEYS[1], 'head')
  if type(head) ~= 'string' then return nil end
  local state, epoch, policy, since, until_ms, open_for, trips, newest = head:match(
    '^1 (%l+) auto epoch=(%d+) policy=(%w+) since=(%d+) until=(%d+) open_for=(%d+) trips=(%d+) log=(%d+)$')
  if policy ~= ARGV[2]:sub(1, 8) then return nil end
  until_ms, open_for, trips = until_ms + 0, open_for + 0, trips + 0
  if epoch + 0 < 1 or epoch + 0 > 4503599627370496 or since + 0 > 9007199254740991 or open_for > 31622400000 or
    trips > 1000 or newest + 0 > 15 or trips > 0 and open_for == 0 then
    return nil
  end
  if state == 'closed' and until_ms == 0 then return epoch end
  if state ~= 'open' or trips == 0 then return nil end
  time = clock()
  if time >= until_ms or until_ms > time + open_for or since + 0 > time then return nil end
  return string.format('open auto epoch=%s left=%d mode_left=0 granted=0 lease=0 applied=0 stale=0 policy=%s', epoch,
    until_ms - time, policy)
end

-- count_fast counts one run of outcomes, with or without admissions; nil if it is
-- not certain.
local function count_fast()
  local ticket, code, count = ARGV[3]:match('^(%d+) ([sf])(%d+)$')
  if not ticket or ticket + 0 == 0 then return nil end
  local asked, chance = ARGV[1]:match('^(%d+) (%d+)$')
  if not asked or asked + 0 > 10000 or chance + 0 >= 1048576 then return nil end
  local tally = redis.pcall('HGET', KEYS[1], 'tally')
  if type(tally) ~= 'string' then return nil end
  local fence, policy, streak, seq, kind, size, stood, cell, clean, calls_now, calls, fails_now, fails, slows_now, slows, at, next, expires =
    tally:match('^epoch=(%d+) policy=(%w+) streak=(%d+) seq=(%d+) win=(%l+)/(%d+) stood=(%d+) cell=(%d+) clean=(%d+) ' ..
      'calls=(%d+)/(%d+) fail=(%d+)/(%d+) slow=(%d+)/(%d+) at=(%d+) next=(%d+) expires=(%d+)$')
  if fence ~= ticket or policy ~= ARGV[2]:sub(1, 8) then return nil end
  local consecutive, window, most, rate, slow_rate, min_calls = ARGV[2]:match(
    '^%w+ consecutive=(%d+) window=(%l+/%d+) count=(%d+) rate=(%d+) slow=(%d+)/%d+ min=(%d+) ')
  local own = window == kind .. '/' .. size
  if not own and window ~= 'none/0' then return nil end

  -- The tally is as sound as lib/record.lua wants it.
  local n = count + 0
  streak, seq, size, cell, clean = streak + 0, seq + 0, size + 0, cell + 0, clean + 0
  calls_now, calls, fails_now, fails, slows_now, slows = calls_now + 0, calls + 0, fails_now + 0, fails + 0, slows_now + 0, slows + 0
  if streak > seq or fails > calls or slows > calls or calls_now > calls or fails_now > fails or slows_now > slows or
    fails_now > calls_now or slows_now > calls_now or
    math.max(seq, calls, stood + 0, cell, clean, at + 0, next + 0, expires + 0) > 9007199254740991 then
    return nil
  end
  if kind == 'time' then
    if size < 1 or size > 31622400000 or clean > 0 then return nil end
  elseif kind == 'count' then
    local bad = fails + slows
    if size < 1 or size > 10000 or calls_now > 0 or calls > size or clean > calls or calls == size and cell >= size or
      calls < size and cell ~= calls or (bad == 0) ~= (clean == calls) or math.max(fails, slows) > calls - clean then
      return nil
    end
  elseif kind ~= 'none' or math.max(size, calls, stood + 0, cell, clean) > 0 then
    return nil
  end
  time = clock()
  if time < at + 0 or time >= next + 0 or expires + 0 < next + 0 or expires - time > 94867200000 then return nil end

  local ring, text -- the field of the count ring that changes
  if kind == 'time' then
    calls_now, calls = calls_now + n, calls + n
    if code == 'f' then fails_now, fails = fails_now + n, fails + n end
  elseif kind == 'count' and (code == 'f' or clean < size) then
    local full, place = calls == size, cell % 128
    local first = math.floor(cell / 128) * 128
    ring, text = string.format('w%d', first / 128), ''
    if full or place > 0 then text = redis.call('HGET', KEYS[1], ring) or '' end
    if n > 1 or (full or place > 0) and #text ~= math.min(128, calls - first) or text:find('[^sfSF]') then return nil end
    local old = ''
    if full then old = text:sub(place + 1, place + 1) else calls = calls + 1 end
    if old == 'f' or old == 'F' then fails = fails - 1 end
    if old == 'S' or old == 'F' then slows = slows - 1 end
    if fails < 0 or slows < 0 then return nil end
    if code == 'f' then fails = fails + 1 else seq, clean = seq + 1, clean + 1 end
    text = text:sub(1, place) .. code .. text:sub(place + 2)
    cell = (cell + 1) % size
  elseif code == 's' and streak == 0 then
    return ticket -- nothing changes
  end

  if code == 's' then
    streak = 0
  else
    if not ARGV[2]:find(' reporters=1 ', 1, true) or not ARGV[4] or not ARGV[4]:find('^[%w%._%%-]+$') or
      not ARGV[5]:find('^%d+$') or not ARGV[6]:find('^[%w%._%%-]+$') then
      return nil
    end
    streak, seq, clean = streak + n, seq + n, 0
    if consecutive ~= '0' and streak >= consecutive + 0 then return nil end
    if own and most ~= '0' and fails >= most + 0 then return nil end
    if own and rate ~= '0' and calls >= min_calls + 0 and fails * 10000 >= rate * calls then return nil end
    -- Within a run of failures the slow rate falls: it is highest when it is first judged.
    local least = math.max(calls - n + 1, min_calls + 0)
    if own and slow_rate ~= '0' and calls >= least and slows * 10000 >= slow_rate * least then return nil end
  end
  tally = string.format('epoch=%s policy=%s streak=%d seq=%d win=%s/%d stood=%s cell=%d clean=%d calls=%d/%d fail=%d/%d ' ..
    'slow=%d/%d at=%s next=%s expires=%s', fence, policy, streak, seq, kind, size, stood, cell, clean, calls_now, calls,
    fails_now, fails, slows_now, slows, at, next, expires)
  if ring then
    redis.call('HSET', KEYS[1], 'tally', tally, ring, text)
  else
    redis.call('HSET', KEYS[1], 'tally', tally)
  end
  return ticket
end

local quick
if ARGV[3] and ARGV[3] ~= '' then quick = count_fast() else quick = admit_fast() end
if quick then return quick end
