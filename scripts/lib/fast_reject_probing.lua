-- A rejection in half-open: it reads the clock and the round without its leases, so
-- that its cost does not grow with the number of probes, and writes nothing. Leases
-- are in the order of their deadlines: the first one ends first, and if the last one
-- does not lie ahead by more than a lease, none does. Whatever does not fit is left
-- to the rest of the script.
if head and not head.err then
  local epoch, policy, since, open_for, trips, newest = head:match(
    '^1 half_open auto epoch=([1-9]%d*) policy=(%w+) since=(%d+) until=0 open_for=(%d+) trips=(%d%d?%d?) n=([1-9]%d*)$')
  local round = policy and epoch + 0 <= $MAX_EPOCH and #open_for < 11 and (trips == '0' or open_for ~= '0') and
    #newest < 16 and redis.call('HGET', KEYS[1], 'round') or ''
  local probes, successes, lease, grants, place = round:match(
    '^probes=(%d+) successes=(%d+) lease=(%d+) grants=(%d+) succeeded=()')
  local succeeded, failed, lapsed, held, deadline, latest = round:match(
    '^(%d+) failed=(%d+) lapsed=(%d+) held=([1-9]%d*) first=(%d+) last=(%d+)$', place or 1)
  if latest then
    probes, successes, grants, held = probes + 0, successes + 0, grants + 0, held + 0
    succeeded, failed = succeeded + 0, failed + 0
    time = clock()
    local left = deadline - time
    local sound = probes <= $MAX_PROBES and successes >= 1 and successes <= probes and lease + 0 <= $MAX_MS and
      grants <= $MAX_GRANT and lapsed + 0 <= grants and succeeded < successes and failed <= probes - successes
    if sound and held <= probes and held + succeeded + failed >= probes and left > 0 and latest - time <= lease + 0 and
      deadline + 0 <= latest + 0 and since + 0 <= time then
      left = math.min(left, math.max($MIN_PROBE_HINT_MS, time - since))
      return string.format('half_open auto epoch=%s left=%d mode_left=0 granted=0 lease=0 applied=0 stale=0 policy=%s',
        epoch, left, policy)
    end
  end
end
