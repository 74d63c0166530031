-- GetProfiles with one prepared login each, from the file $TOKENS; what came of it goes to $REPORT. Each thread asks
-- a camera of its own, at the ports from the given one on.
local login = os.getenv("LOGIN")
local cameras = tonumber(os.getenv("CAMERAS"))
local tokens = {}
for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end

local open = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>'
local close = '</s:Header><s:Body><trt:GetProfiles xmlns:trt="http://www.onvif.org/ver10/media/wsdl"/></s:Body></s:Envelope>'
local headers = {
    ["Content-Type"] = 'application/soap+xml; charset=utf-8; action="http://www.onvif.org/ver10/media/wsdl/GetProfiles"',
}

local threads = 0
function setup(thread)
    thread.addr = wrk.lookup(wrk.host, tostring(tonumber(wrk.port) + threads))[1]
    threads = threads + 1
    -- Logins are good once: each thread has every so-manieth.
    thread:set("next_token", threads - cameras)
end

function request()
    next_token = next_token + cameras
    -- Prepared for more than can be used; if they run out, refusals show it in the last column.
    local token = tokens[next_token] or tokens[#tokens] or ""
    if login == "digest" then
        headers["Authorization"] = token
        token = ""
    end
    return wrk.format("POST", nil, headers, open .. token .. close)
end

function done(summary, latency)
    local wrong = summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout
    local out = io.open(os.getenv("REPORT"), "w")
    out:write(string.format("%d %d %.0f %.2f %.2f\n", summary.requests, wrong,
        summary.requests / summary.duration * 1000000, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
    out:close()
end
