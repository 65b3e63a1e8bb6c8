-- clock returns the server's time in whole ms. TIME moves during a script on
-- some servers, so a script calls it at most once.
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
