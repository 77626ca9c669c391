-- SPDX-License-Identifier: Apache-2.0
-- wrk: the result as one line of JSON on standard output, latencies in microseconds. Headers come from -H.
function done(summary, latency)
	local e = summary.errors
	io.write(string.format('{"requests": %d, "seconds": %.3f, "p50": %d, "p90": %d, "p99": %d, "errors": %d}\n',
		summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(90), latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
