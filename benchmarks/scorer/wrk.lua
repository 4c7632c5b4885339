-- wrk's script: each request has the next line of a file as its body; `done` prints one line of JSON.
-- Arguments after `--`: the file, and how many of its lines to skip. Lines are sent in order, so there is one thread.
-- wrk's latencies include those of requests that a client would have sent if it had not waited for a slow response.

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function init(args)
    file = assert(io.open(args[1], "r"))
    for _ = 1, tonumber(args[2]) do
        if not file:read("*l") then rewind() end
    end
    wrk.headers["Content-Type"] = "application/json"
    local key = os.getenv("SCORER_API_KEY")
    if key then wrk.headers["X-API-Key"] = key end
end

function rewind()
    file:seek("set")
    return file:read("*l")
end

function request()
    if not sent then
        -- wrk parses the first one and does not send it.
        sent = 0
        return wrk.format("POST", nil, nil, "{}")
    end
    sent = sent + 1
    return wrk.format("POST", nil, nil, file:read("*l") or rewind())
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    local sent = 0
    for _, thread in ipairs(threads) do sent = sent + thread:get("sent") end
    io.write(string.format(
        '\n{"requests": %d, "seconds": %.6f, "sent": %d, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
        summary.requests, summary.duration / 1e6, sent, failed,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000
    ))
end
