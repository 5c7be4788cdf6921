-- Adds runs of tickets to round robin orders, and says how these stand. One script, because a run may only be added while
-- the order ends where the run begins, and each run only once.
--
-- KEYS  one hash per order: ticket (next), version (of it), `by MACHINE` (the last run added, `LIFE:BEGIN TAKEN`)
-- ARGV  channel, machine; then for each order: LIFE:BEGIN of its run, the phase of its begin, taken (0: only asks),
--       cycle, the version and the ticket it knows (0 0: none)
-- Reply for each order: version, ticket, tickets from BEGIN on that are in the order now
--
-- A key that is missing, older than what the machine knows, or nobody's understanding is put right by what it knows;
-- where it knows nothing the order begins with its run.
local LIMIT = 1e14
local LIFE_MS = 24 * 3600 * 1000
local MOST_FIELDS = 512 -- of machines that came and went, or anybody's; then all but ours are forgotten, who was in doubt may be wrong by a run

local function number(text)
  if text and #text <= 14 and string.match(text, '^%d+$') then return tonumber(text) end
end

local function prune(key, ours) -- version and ticket are written after it
  if redis.call('HLEN', key) <= MOST_FIELDS then return end
  local own = redis.call('HGET', key, ours)
  redis.call('DEL', key)
  redis.call('HSET', key, ours, own)
end

local function shown(n) return string.format('%.0f', n) end

local channel, machine = ARGV[1], ARGV[2]
local news, reply = {'order'}, {}

for i, key in ipairs(KEYS) do
  local at = 6 * i - 3
  local origin, phase, taken = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local cycle, known, known_ticket = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', key) end
  local field = 'by ' .. machine
  local found = redis.call('HMGET', key, 'version', 'ticket', field)
  local version, ticket = number(found[1]), number(found[2])
  local is_changed, done = false, 0
  if not version or not ticket or version < known then
    version, ticket, is_changed = known, known_ticket, known > 0
    if known == 0 then ticket = phase end
  end
  local before, count = string.match(found[3] or '', '^(%S+) (%-?%d+)$')
  if before == origin then
    done = tonumber(count)
  elseif taken ~= 0 and (ticket - phase) % cycle == 0 then
    done, ticket, version, is_changed = taken, ticket + taken, version + 1, true
    if ticket < 0 or ticket >= LIMIT then ticket = ticket % cycle end
    redis.call('HSET', key, field, origin .. ' ' .. shown(taken))
    prune(key, field)
  end
  if is_changed then
    redis.call('HSET', key, 'version', shown(version), 'ticket', shown(ticket))
    redis.call('PEXPIRE', key, LIFE_MS)
    news[#news + 1] = key .. ' ' .. shown(version) .. ' ' .. shown(ticket)
  end
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = version, ticket, done
end

if #news > 1 then redis.call('PUBLISH', channel, table.concat(news, ' ')) end
return reply
