-- Every request has its own path, cookie, user agent and query, as the requests of a crowd have:
-- what a balancer memoises about heads does not help it here.
dofile(os.getenv("LB_BENCH_LUA") .. "/plain.lua")

local n = 0

function request()
  n = n + 1
  wrk.headers["Cookie"] = "session=" .. n .. "-" .. (n * 7919) % 1000003 .. "; theme=dark"
  wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) Crowd/" .. n .. ".0"
  wrk.headers["Accept"] = "text/html,application/json;q=0.9,*/*;q=0.8"
  wrk.headers["Accept-Language"] = "en-GB,en;q=0.9"
  return wrk.format("GET", "/item/" .. n .. "?page=" .. n % 97)
end
