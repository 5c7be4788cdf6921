-- Renews one machine's slices of limits that machines share. One script, because what is granted must be what no
-- other entry holds in that very moment.
--
-- KEYS  1: born; 2, 3, ...: a hash per limit, MACHINE -> `slice renewed wanted holds since sequence`, and of a rate
--       `+` -> `tokens at`: those of units that nobody holds, in billionths, and when that was
-- ARGV  machine, channel, sequence; then for each limit: its name, limit (0: leave), held, wanted, age in ms or -1,
--       tokens given back, ms until it is full (0: there are no tokens)
-- Reply number of entries dropped because nobody understands them; then for each limit: granted, target, whether
--       another machine wants more than it has, tokens for what is new. granted -1: this came later than what was sent
--       after it, and was ignored.
--
-- Tokens come into being only where units are held, with time; here they are kept and handed on with units, never more
-- than units are free. What is lost on the way is lost.
--
-- held: what the machine may have in flight whatever we say; recorded before anything is granted. age: since it sent
-- the last renewal that we answered, while that still holds.
local LIVE_MS = 2000
local FREEZE_MS = 2000 -- longer than anything that was granted holds
local SKEW_MS = 1000
local HASH_LIFE_MS = 10000
local TOKEN, FREE = 1e9, '+'
local TURNS_MS, SHORTEST_TURN_MS, LONGEST_TURN_MS = 2000, 100, 500

local me, channel, sequence = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dropped = 0

-- The moment since when this store knows everything: what it forgot before (it was flushed, restarted, replaced by a
-- replica that lagged) comes back with the next renewals or ends by itself, and until then nothing is granted.

local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or '-'
end

local function freeze(run)
  redis.call('SET', KEYS[1], string.format('%.0f %s', now, run))
  return now
end

local function birth()
  local text, run = redis.pcall('GET', KEYS[1]), run_id()
  local at, of = string.match(type(text) == 'string' and text or '', '^(%d+) ([%x-]+)$')
  at = tonumber(at)
  if not at or at > now then return freeze(run), run end
  if of ~= run and of ~= '-' and run ~= '-' then return freeze(run), run end
  if of ~= run and run ~= '-' then redis.call('SET', KEYS[1], string.format('%.0f %s', at, run)) end
  return at, run
end

local born, run = birth()

-- Entries

local function parsed(text)
  local numbers = {}
  for number in string.gmatch(text, '%S+') do
    if not string.match(number, '^%d+$') or #number > 16 then return nil end
    numbers[#numbers + 1] = tonumber(number)
  end
  if #numbers ~= 6 then return nil end
  return {slice = numbers[1], renewed = numbers[2], wanted = numbers[3], holds = numbers[4] == 1,
          since = numbers[5], sequence = numbers[6]}
end

local function store(key, entry)
  redis.call('HSET', key, entry.name, string.format('%.0f %.0f %.0f %d %.0f %.0f',
    entry.slice, entry.renewed, entry.wanted, entry.holds and 1 or 0, entry.since, entry.sequence))
end

-- Returns the entries by machine, and of what is free the text.
local function entries(key)
  local fields = redis.pcall('HGETALL', key)
  if fields.err then -- not a hash: nobody could ever renew here
    redis.call('DEL', key)
    fields = {''}
  end
  local found, free = {}, nil
  for i = 1, #fields, 2 do
    local entry = fields[i + 1] and parsed(fields[i + 1])
    if fields[i] == FREE then
      free = fields[i + 1]
    elseif entry then
      entry.name = fields[i]
      if entry.renewed > now then -- our clock was put back
        entry.renewed = now
        store(key, entry)
      end
      found[entry.name] = entry
    else -- what it held nobody knows
      redis.call('HDEL', key, fields[i])
      dropped, born = dropped + 1, freeze(run)
    end
  end
  return found, free
end

-- Tokens of what is free. Where nothing is kept, nobody has used it for as long as it takes to fill, if we would know.
local function free_tokens(text, live, limit, fill)
  local tokens, at = string.match(text or '', '^(%d+) (%d+)$')
  if tokens and #tokens <= 16 and #at <= 16 then return tonumber(at) >= born and tonumber(tokens) or 0 end
  if next(live) == nil and now - born >= fill + FREEZE_MS then return limit * TOKEN end
  return 0
end

local function keep_tokens(key, tokens, free, fill)
  tokens = math.max(0, math.min(tokens, free * TOKEN))
  redis.call('HSET', key, FREE, string.format('%.0f %.0f', tokens, now))
  redis.call('PEXPIRE', key, math.max(HASH_LIFE_MS, fill + FREEZE_MS))
end

-- What each should have: no more than it wants, nobody less than an equal part unless it wants less (max-min
-- fairness). What is too little to be divided goes round by turns, what nobody wants to all in equal parts.

local function contested(those, share, extra)
  local turn = math.max(SHORTEST_TURN_MS, math.min(LONGEST_TURN_MS, TURNS_MS / #those))
  for _, entry in ipairs(those) do
    local holds = entry.slice > share
    local since = holds == entry.holds and entry.since or now
    if holds and now - since < turn then
      entry.rank, entry.order = 0, since
    elseif not holds then
      entry.rank, entry.order = 1, since -- who has gone without for longest comes first
    else
      entry.rank, entry.order = 2, -since
    end
  end
  table.sort(those, function(a, b)
    if a.rank ~= b.rank then return a.rank < b.rank end
    if a.order ~= b.order then return a.order < b.order end
    return a.name < b.name
  end)
  for i, entry in ipairs(those) do entry.target = share + (i <= extra and 1 or 0) end
end

local function shared_out(those, left)
  local share = math.floor(left / #those)
  table.sort(those, function(a, b)
    local a_has, b_has = a.slice > a.wanted + share, b.slice > b.wanted + share
    if a_has ~= b_has then return a_has end
    return a.name < b.name
  end)
  for i, entry in ipairs(those) do
    entry.target = entry.wanted + share + (i <= left - share * #those and 1 or 0)
  end
end

-- Sets every entry's target. Returns the part above which one more is a matter of turns; nil: there is enough.
local function divide(live, limit)
  local all = {}
  for _, entry in pairs(live) do all[#all + 1] = entry end
  table.sort(all, function(a, b)
    if a.wanted ~= b.wanted then return a.wanted < b.wanted end
    return a.name < b.name
  end)
  local left = limit
  for i, entry in ipairs(all) do
    local count = #all - i + 1
    local share = math.floor(left / count)
    if entry.wanted > share then
      local those = {}
      for j = i, #all do those[#those + 1] = all[j] end
      contested(those, share, left - share * count)
      return share
    end
    entry.target = entry.wanted
    left = left - entry.wanted
  end
  shared_out(all, left)
end

-- One renewal

local function others_of(key, live, limit)
  local held, freed, starve = 0, 0, false
  for name, entry in pairs(live) do
    if name ~= me then
      if now - entry.renewed > LIVE_MS then
        redis.call('HDEL', key, name)
        live[name] = nil
        freed = freed + entry.slice
      else
        if limit > 0 then entry.wanted = math.min(entry.wanted, limit) end
        held = held + entry.slice
        starve = starve or entry.wanted > entry.slice
      end
    end
  end
  return held, freed, starve
end

-- We answered this machine, and what we said is not here, or it is older than it can be: entries were lost, or our
-- clock has jumped. Nobody's entry is too old then.
local function distrust(key, live)
  born = freeze(run)
  for name, entry in pairs(live) do
    if name ~= me then
      entry.renewed = now
      store(key, entry)
    end
  end
end

local function renew(key, name, limit, held, wanted, age, credit, fill)
  local live, text = entries(key)
  local before = live[me]
  if before and before.sequence > sequence and now - before.renewed <= LIVE_MS then return -1, 0, 0, 0 end
  if age >= 0 and (not before or now - before.renewed > age + SKEW_MS) then distrust(key, live) end
  local tokens = fill > 0 and free_tokens(text, live, math.max(limit, held), fill) or 0
  if before and before.sequence < sequence then tokens = tokens + credit end
  local others, freed, starve = others_of(key, live, limit)
  local had = before and before.slice or 0
  if limit == 0 then
    redis.call('HDEL', key, me)
    if fill > 0 then keep_tokens(key, tokens, math.huge, fill) end
    if starve and had > 0 then redis.pcall('PUBLISH', channel, 'limit ' .. name) end
    return 0, 0, 0, 0
  end
  local mine = {name = me, slice = held, renewed = now, wanted = math.min(wanted, limit),
                holds = before ~= nil and before.holds, since = before and before.since or now, sequence = sequence}
  local starved = before ~= nil and math.min(before.wanted, limit) > before.slice
  live[me] = mine
  local share = divide(live, limit)
  if now - born >= FREEZE_MS then
    mine.slice = held + math.max(0, math.min(mine.target - held, limit - others - held))
  end
  local holds = share ~= nil and mine.slice > share
  if holds ~= mine.holds then mine.holds, mine.since = holds, now end
  store(key, mine)
  redis.call('PEXPIRE', key, HASH_LIFE_MS)
  local new = 0
  if fill > 0 then
    tokens = math.min(tokens, math.max(0, limit - others - held) * TOKEN)
    new = math.min(tokens, (mine.slice - held) * TOKEN)
    keep_tokens(key, tokens - new, limit - others - mine.slice, fill)
  end
  freed = freed + math.max(0, had - mine.slice)
  if (starve and freed > 0) or (mine.wanted > mine.slice and not starved) then
    redis.pcall('PUBLISH', channel, 'limit ' .. name)
  end
  return mine.slice, mine.target, starve and 1 or 0, new
end

local reply = {0}
for i = 2, #KEYS do
  local at = 4 + (i - 2) * 7
  local said = {}
  for j = 1, 6 do said[j] = tonumber(ARGV[at + j]) end
  for _, number in ipairs({renew(KEYS[i], ARGV[at], unpack(said))}) do reply[#reply + 1] = number end
end
reply[1] = dropped
return reply
