-- clock returns the server's time in whole ms. TIME moves during a script on
-- some servers, so a script calls it at most once.
local function clock()
  local t = redis.call('TIME')
  local us = t[2] + 0
  return t[1] * 1000 + (us - us % 1000) / 1000
end
