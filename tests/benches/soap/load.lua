-- GetProfiles with one prepared login each, from the file $TOKENS; what came of it goes to $REPORT.
local login = os.getenv("LOGIN")
local tokens = {}
for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end
local next_token = 0

local open = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>'
local close = '</s:Header><s:Body><trt:GetProfiles xmlns:trt="http://www.onvif.org/ver10/media/wsdl"/></s:Body></s:Envelope>'
local headers = {
    ["Content-Type"] = 'application/soap+xml; charset=utf-8; action="http://www.onvif.org/ver10/media/wsdl/GetProfiles"',
}

function request()
    next_token = next_token + 1
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
