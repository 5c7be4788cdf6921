-- POST of 1 MiB with a Content-Length; the origin reads it and answers.
dofile(os.getenv("LB_BENCH_LUA") .. "/plain.lua")

wrk.method = "POST"
wrk.body = string.rep("0123456789abcdef", 65536)
wrk.headers["Content-Type"] = "application/octet-stream"
