-- Asks edgespan about a request: `http-request lua.edgespan`.
--
-- Lets it pass with `txn.edgespan` set to `allow` and the proved headers on the request, or answers
-- with what edgespan answered. An edgespan that does not answer is a 503.

local ADDRESS = "http://127.0.0.1:9000/auth/haproxy"
local TIMEOUT_MS = 2000

-- Headers that edgespan proves, as in edgespan.yaml.
local IDENTITY = { "x-auth-user", "x-auth-groups" }

-- What belongs to this connection, frames a body that is not sent, or is told below.
local OWN = {
    ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
    ["transfer-encoding"] = true, ["content-length"] = true, ["upgrade"] = true, ["host"] = true,
    ["expect"] = true, ["trailer"] = true, ["http2-settings"] = true,
    ["x-forwarded-method"] = true, ["x-forwarded-proto"] = true, ["x-forwarded-host"] = true,
    ["x-forwarded-uri"] = true, ["x-forwarded-for"] = true,
}
-- What of edgespan's answer belongs to its own connection.
local ENDS_HERE = {
    ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true,
    ["content-length"] = true, ["via"] = true,
}

local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not OWN[name] then
            local list = {}
            -- HAProxy counts from zero here.
            for at = 0, #values do
                list[#list + 1] = values[at]
            end
            headers[name] = list
        end
    end
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" }
    -- The whole field: `req_hdr` would tell what stands behind its last comma.
    headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    headers["x-forwarded-for"] = { txn.sf:src() }
    return headers
end

local function allow(txn, answer)
    for _, name in ipairs(IDENTITY) do
        txn.http:req_del_header(name)
        for _, value in pairs(answer.headers[name] or {}) do
            if value ~= "" then
                txn.http:req_add_header(name, value)
            end
        end
    end
    local count = 0
    for _, cookie in pairs(answer.headers["set-cookie"] or {}) do
        count = count + 1
        txn:set_var("txn.edgespan_cookie_" .. count, cookie)
    end
    txn:set_var("txn.edgespan", "allow")
end

local function refuse(txn, status, answer)
    local reply = txn:reply()
    reply:set_status(status)
    for name, values in pairs(answer.headers or {}) do
        if not ENDS_HERE[name] then
            for _, value in pairs(values) do
                reply:add_header(name, value)
            end
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end

core.register_action("edgespan", { "http-req" }, function(txn)
    local answer = core.httpclient():get {
        url = ADDRESS, headers = question(txn), timeout = TIMEOUT_MS,
    }
    local status = answer and tonumber(answer.status) or 0
    if status == 200 then
        allow(txn, answer)
    elseif status >= 300 then
        refuse(txn, status, answer)
    else
        refuse(txn, 503, {})
    end
end)
