-- wrk: POST the file named by $BENCH_BODY to the path wrk was given. Any answer but 200 is counted.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["x-api-key"] = "sk-bench"
wrk.headers["anthropic-version"] = "2023-06-01"
file:close()

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT requests=%d errors=%d\n", summary.requests, e.connect + e.read + e.write + e.timeout + e.status))
end
