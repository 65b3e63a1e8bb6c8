--[[
ping.lua: tries whether the user may run every command that the other scripts run,
on a key of its own that expires a second later.

KEYS[1]  a scratch key of the namespace

ARGV     none

Returns  "": all is allowed
         otherwise, a line each, the commands that were refused: "<command> <error>"

Writes   HSET, HDEL, PERSIST, PEXPIRE, ZADD, ZREM, PUBLISH; in this order, each once

Invariants
         a command that is refused does not keep the others from being tried
]]
local refused = {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  -- Rights are checked before types.
  if type(reply) == 'table' and reply.err and not reply.err:find('WRONGTYPE') then refused[#refused + 1] = name .. ' ' .. reply.err end
end

try('TIME')
try('TYPE', KEYS[1])
try('HGET', KEYS[1], 'ping')
try('HMGET', KEYS[1], 'ping')
try('HGETALL', KEYS[1])
try('HSET', KEYS[1], 'ping', 'pong')
try('HDEL', KEYS[1], 'gone')
try('PERSIST', KEYS[1])
try('PEXPIRE', KEYS[1], '1000')
try('ZSCORE', KEYS[1], '#')
try('ZADD', KEYS[1], '0', 'ping')
try('ZRANGEBYSCORE', KEYS[1], '0', '0')
try('ZREM', KEYS[1], 'ping')
try('PUBLISH', KEYS[1]:match('^(.-):{') .. ':ping', 'ping')
return table.concat(refused, '\n')
