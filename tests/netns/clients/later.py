# SPDX-License-Identifier: Apache-2.0
"""later.py IP PORT FILE: sends the head of a request, and says "head"; its body follows when there is FILE, and looks like a
request of a lane. Prints the pod that had the body, and whether whole."""
import os
import sys
import time

from wire import Wire

BODY = b"GET /id HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\n\r\n"
wire = Wire(sys.argv[1], int(sys.argv[2]))
wire.request("GET", "/id")
wire.sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY))
print("head", flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
wire.sock.sendall(BODY)
answer = wire.response()
print(answer.pod.split("[")[0], "whole" if answer.body == BODY else answer.body, flush=True)
