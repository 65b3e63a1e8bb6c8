-- Reading the run after this one: no code is left behind the last run, or behind the
-- question mark that asks for the standing.
if rest > #results then
  code = nil
else
  local place = rest
  code, count, rest = results:match('^([sf])([1-9]%d*)()', place)
  if not code and place == #results and results:byte(place) == 63 then
    asks = true
  elseif not code or #count > 9 then
    code = 'i' -- not a run of this path
    break
  end
end
