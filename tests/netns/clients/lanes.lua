-- SPDX-License-Identifier: Apache-2.0
-- wrk: lanes mixed over every connection. A response says which request it belongs to (X-Id) and which
-- tag its server saw; the canary must answer the tagged ones and nobody else.
local count, threads = 0, {}
wrong, right = 0, 0
function setup(thread) table.insert(threads, thread) end
function request()
	count = count + 1
	local headers = { ["X-Id"] = count % 3 == 0 and "gray" or "base" }
	if count % 3 == 0 then headers["x-mse-tag"] = "gray" end
	return wrk.format("GET", nil, headers)
end
function response(status, headers)
	local pod, id = headers["X-Pod"] or headers["x-pod"], headers["X-Id"] or headers["x-id"]
	local gray = pod and pod:find("gray[", 1, true) ~= nil
	if status == 200 and gray == (id == "gray") then right = right + 1 else wrong = wrong + 1 end
end
function done()
	local r, w = 0, 0
	for _, t in ipairs(threads) do r = r + t:get("right"); w = w + t:get("wrong") end
	print((w == 0 and r > 0 and "ok: " or "wrong: ") .. r .. " right, " .. w .. " wrong")
end
