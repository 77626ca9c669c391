-- SPDX-License-Identifier: Apache-2.0
-- wrk: of every two requests one with the tag, each with a trace of its own. The result as report.lua has it.
local n = 0
function init()
	math.randomseed(os.time())
end
function request()
	n = n + 1
	return wrk.format("GET", nil, {
		["x-mse-tag"] = n % 2 == 0 and "gray" or "none",
		traceparent = string.format("00-%08x%08x%08x%08x-%016x-01", math.random(0x7fffffff), math.random(0x7fffffff), n, n * 7, n),
	})
end
dofile(os.getenv("REPORT"))
