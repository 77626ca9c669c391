# SPDX-License-Identifier: Apache-2.0
"""uploads.py IP PORT LANE ROUNDS SIZE...: over one connection, ROUNDS times a tagged upload of each SIZE to /echo, by length and
in chunks. Each answer is checked. Prints what became of each: LANE and how often, or the error with what it was of."""
import sys

from wire import Wire, pattern

ip, port, lane, rounds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
sizes = [int(size) for size in sys.argv[5:]]
wire = Wire(ip, port)
done = 0


def chunks(body, n):
    return b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + n]), body[i : i + n]) for i in range(0, len(body), n)) + b"0\r\n\r\n"


for i in range(rounds):
    for size in sizes:
        for chunked in (False, True):
            body = pattern(size, i)
            try:
                if chunked:
                    wire.send(wire.head("POST", "/echo", ["Transfer-Encoding: chunked"], lane) + chunks(body, 30000))
                    r = wire.response()
                else:
                    r = wire.request("POST", "/echo", [], lane, body)
            except (OSError, EOFError) as error:
                sys.exit(f"round {i}, {size} bytes, {'chunked' if chunked else 'by length'}: {type(error).__name__} {error}")
            if r.status != 200 or r.body != body:
                sys.exit(f"round {i}, {size} bytes: status {r.status}, {len(r.body)} bytes")
            if r.lane != lane:
                sys.exit(f"round {i}: from {r.pod}")
            done += 1
print(lane, done)
