-- A rejection while open: it reads the clock and writes nothing. A time that lies
-- further ahead than its planned length means that the clock went back: the rest
-- of the script mends it.
if head and not head.err then
  local epoch, policy, since, until_ms, open_for, newest = head:match(
    '^1 open auto epoch=([1-9]%d*) policy=(%w+) since=(%d+) until=(%d+) open_for=([1-9]%d*) trips=[1-9]%d?%d? n=([1-9]%d*)$')
  if policy == ARGV[2]:sub(1, 8) and epoch + 0 <= $MAX_EPOCH and #open_for < 11 and #newest < 16 then
    time = clock()
    local left = until_ms - time
    if left > 0 and left <= open_for + 0 and since + 0 <= time then
      return epoch .. string.format(' %d', left)
    end
  end
end
