-- The common cases, before anything else is defined or parsed: admissions while
-- closed, rejections while open, and runs of successes and failures that cannot
-- trip. Each is an HGET, then for some TIME, then for some an HSET. What is not
-- certain here is left to the rest of the script, which starts from
-- the unchanged record: without this file no verdict would be another.
--
-- It is written for what costs the server most: a text cut out of another, a
-- number read from text, a function made. So it makes none (break leaves a case
-- to the rest), cuts out what it needs and no more, a few pieces a match, bounds
-- numbers by their digits, and does not look at arguments that it has no use for.

local time -- the server's time, once it was read
local results = ARGV[3] or ''
local head = results == '' and redis.pcall('HGET', KEYS[1], 'head')
if head and not head.err then
  local epoch, policy, since, ends, open_for, trips, newest = head:match(
    '^1 closed auto epoch=([1-9]%d*) policy=(%w+) since=()%d+() until=0 open_for=(%d+) trips=(%d%d?%d?) log=(%d%d?)$')
  if policy == ARGV[2]:sub(1, 8) and epoch + 0 <= 4503599627370496 and ends - since < 16 and #open_for < 11 and
    (trips == '0' or open_for ~= '0') and (#newest == 1 or newest < '16') then
    return epoch
  end
end

-- @include lib/clock.lua

if head and not head.err then
  local epoch, policy, since, until_ms, open_for, newest = head:match(
    '^1 open auto epoch=([1-9]%d*) policy=(%w+) since=(%d+) until=(%d+) open_for=([1-9]%d*) trips=[1-9]%d?%d? log=(%d%d?)$')
  if policy == ARGV[2]:sub(1, 8) and epoch + 0 <= 4503599627370496 and #open_for < 11 and (#newest == 1 or newest < '16') then
    time = clock()
    local left = until_ms - time
    if left > 0 and left <= open_for + 0 and since + 0 <= time then
      return epoch .. string.format(' %d', left)
    end
  end
end

repeat -- once
  local ticket, code, count, rest = results:match('^([1-9]%d*) ([sf])([1-9]%d*)()')
  local found = ticket and redis.pcall('HGET', KEYS[1], 'tally')
  if not found or found.err then break end
  tally = found
  local mine, consecutive, kind, size = ARGV[2]:match('^(%w+) consecutive=(%d+) window=(%l+)/(%d+) ')
  local fence, policy, streak_text, seq_text, place = tally:match('^epoch=(%d+) policy=(%w+) streak=(%d+) seq=(%d+) win=()')
  if fence ~= ticket or policy ~= mine or #seq_text > 15 or #size > 10 or #count > 9 then break end
  local streak, seq = streak_text + 0, seq_text + 0
  if streak > seq or code == 'f' and consecutive ~= '0' and streak + count >= consecutive + 0 then break end
  local streak_was, seq_was = streak, seq

  -- The window is the policy's, and as sound as lib/record.lua wants it.
  local starts, ends, its_size, stood, cell, clean
  local calls_now, calls, fails_now, fails, slows, slows_text = 0, 0, 0, 0, 0, '0/0'
  local fails_now_text, fails_text
  if kind == 'none' then
    starts, ends = tally:find('none/0 stood=0 cell=0 clean=0 calls=0/0 fail=0/0 slow=0/0 at=', place, true)
    if starts ~= place then break end
  elseif kind == 'time' then
    its_size, stood, cell, place = tally:match('^time/(%d+) stood=(%d+) cell=(%d+) clean=0 calls=()', place)
    if its_size ~= size or #stood > 15 or #cell > 15 then break end
    calls_now, calls, fails_now_text, fails_text, place = tally:match('^(%d+)/(%d+) fail=(%d+)/(%d+)()', place)
    if not place or #calls > 15 then break end
    calls_now, calls, fails_now, fails = calls_now + 0, calls + 0, fails_now_text + 0, fails_text + 0
    if calls_now > calls or fails_now > calls_now or fails > calls or fails_now > fails then break end
    starts, ends = tally:find(' slow=0/0 at=', place, true)
    if starts ~= place then
      local slows_now
      slows_text, slows_now, slows, ends = tally:match('^ slow=((%d+)/(%d+)) at()=', place)
      if not ends then break end
      slows_now, slows = slows_now + 0, slows + 0
      if slows_now > calls_now or slows > calls or slows_now > slows then break end
    end
  else
    its_size, stood, cell, clean, place = tally:match('^count/(%d+) stood=(%d+) cell=(%d+) clean=(%d+) calls=0/()', place)
    if its_size ~= size or #stood > 15 then break end
    calls, fails, slows, ends = tally:match('^(%d+) fail=0/(%d+) slow=0/(%d+) at()=', place)
    if not ends then break end
    size, cell, clean, calls, fails, slows = size + 0, cell + 0, clean + 0, calls + 0, fails + 0, slows + 0
    local bad = calls - clean
    if size > 10000 or calls > size or bad < 0 or fails > bad or slows > bad or (bad == 0) ~= (fails + slows == 0) or
      calls == size and cell >= size or calls < size and cell ~= calls then
      break
    end
  end
  local at, next, expires = tally:match('^(%d+) next=(%d+) expires=(%d+)$', ends + 1)
  if not at then break end
  time = clock()
  local bound, ttl_end = next + 0, expires + 0
  if time < at + 0 or time >= bound or ttl_end < bound or ttl_end - time > 94867200000 then break end

  local fails_were = fails
  local most, rate, slow_rate, min_calls -- the policy's conditions on the window, once there is a failure
  local ring, name, text, name_before, text_before -- what changes of the count ring: at most two fields
  while code do
    local n, moved, slows_most = count + 0, 0, slows
    if code == 's' then
      streak = 0
      if kind == 'count' then
        moved = size - clean
        if n < moved then moved = n end
        seq, clean = seq + moved, clean + moved
      end
    else
      streak, seq = streak + n, seq + n
      if kind == 'time' then
        fails_now, fails = fails_now + n, fails + n
      elseif kind == 'count' then
        moved, clean = n, 0
      end
    end
    if kind == 'time' then calls_now, calls = calls_now + n, calls + n end

    while moved > 0 do
      local from, full = cell % 128, calls == size
      local part, base = 1, cell - from
      if moved > 1 then part = math.min(moved, 128 - from, size - cell) end
      if base ~= ring then
        if name_before then break end
        name_before, text_before = name, text
        ring, name, text = base, 'w0', ''
        if base > 0 then name = string.format('w%d', base / 128) end
        if full or from > 0 then
          text = redis.call('HGET', KEYS[1], name) or ''
          if #text ~= math.min(128, calls - base) or not text:find('^[sfSF]*$') then break end
        end
      end
      local old = 's'
      if full then old = text:sub(from + 1, from + part) else calls = calls + part end
      if part > 1 or old ~= 's' then
        local _, fail = old:gsub('[fF]', '')
        local _, slow = old:gsub('[SF]', '')
        if fail > fails or slow > slows then break end
        fails, slows = fails - fail, slows - slow
      end
      if code == 'f' then fails = fails + part end
      local new = code
      if part > 1 then new = code:rep(part) end
      text = text:sub(1, from) .. new .. text:sub(from + part + 1)
      cell, moved = (cell + part) % size, moved - part
    end
    if moved > 0 then break end

    if code == 'f' then
      if not most then
        if not ARGV[2]:find(' reporters=1 idle=', -32, true) then break end
        most, rate, slow_rate, min_calls = ARGV[2]:match(
          '^%w+ consecutive=%d+ window=%l+/%d+ count=(%d+) rate=(%d+) slow=(%d+)/%d+ min=(%d+) ')
      end
      if consecutive ~= '0' and streak >= consecutive + 0 then break end
      if kind ~= 'none' then
        if most ~= '0' and fails >= most + 0 then break end
        if rate ~= '0' and calls >= min_calls + 0 and fails * 10000 >= rate * calls then break end
        -- Within a run of failures the slow rate falls: it is highest when it is first judged.
        local least = math.max(calls - n + 1, min_calls + 0)
        if slow_rate ~= '0' and calls >= least and slows_most * 10000 >= slow_rate * least then break end
      end
    end
    if rest > #results then
      code = nil
    else
      code, count, rest = results:match('^([sf])([1-9]%d*)()', rest)
      if not code or #count > 9 then
        code = 'i'
        break
      end
    end
  end
  if code then break end
  if kind ~= 'time' and streak == streak_was and seq == seq_was then return ticket end -- nothing changes

  if seq ~= seq_was then
    streak_text, seq_text = string.format('%d', streak), string.format('%d', seq)
  elseif streak == 0 then
    streak_text = '0'
  end
  if kind == 'none' then
    tally = 'epoch=' .. ticket .. ' policy=' .. mine .. ' streak=' .. streak_text .. ' seq=' .. seq_text ..
      ' win=none/0 stood=0 cell=0 clean=0 calls=0/0 fail=0/0 slow=0/0 at=' .. at .. ' next=' .. next .. ' expires=' .. expires
  elseif kind == 'time' then
    if fails ~= fails_were then
      fails_now_text, fails_text = string.format('%d', fails_now), string.format('%d', fails)
    end
    tally = 'epoch=' .. ticket .. ' policy=' .. mine .. ' streak=' .. streak_text .. ' seq=' .. seq_text .. ' win=time/' .. size ..
      ' stood=' .. stood .. ' cell=' .. cell .. string.format(' clean=0 calls=%d/%d fail=', calls_now, calls) .. fails_now_text ..
      '/' .. fails_text .. ' slow=' .. slows_text .. ' at=' .. at .. ' next=' .. next .. ' expires=' .. expires
  else
    tally = 'epoch=' .. ticket .. ' policy=' .. mine .. ' streak=' .. streak_text .. ' seq=' .. seq_text .. ' win=count/' .. its_size ..
      ' stood=' .. stood .. string.format(' cell=%d clean=%d calls=0/%d fail=0/%d slow=0/%d at=', cell, clean, calls, fails, slows) ..
      at .. ' next=' .. next .. ' expires=' .. expires
  end
  if name_before then
    redis.call('HSET', KEYS[1], 'tally', tally, name, text, name_before, text_before)
  elseif name then
    redis.call('HSET', KEYS[1], 'tally', tally, name, text)
  else
    redis.call('HSET', KEYS[1], 'tally', tally)
  end
  return ticket
until true
