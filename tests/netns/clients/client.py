# SPDX-License-Identifier: Apache-2.0
"""client.py URL N: http.client, one connection."""
import http.client
import sys
import urllib.parse

url, n = urllib.parse.urlsplit(sys.argv[1]), int(sys.argv[2])
conn = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
for i in range(n):
    tagged = i % 2 == 0
    headers = {"x-id": str(i)}
    if tagged:
        headers["x-mse-tag" if i % 4 else "x-user"] = "gray" if i % 4 else "xiaoming"
    body = bytes((i * 7 + k) % 251 for k in range(i * 500))
    if i % 3:
        conn.request("POST", "/echo", body if i % 3 == 1 else iter([body[:100], body[100:]] if body else []), headers,
                     encode_chunked=i % 3 == 2)
    else:
        conn.request("GET", "/id", headers=headers)
    r = conn.getresponse()
    data = r.read()
    assert ("gray[" in r.getheader("x-pod")) == tagged, (i, r.getheader("x-pod"))
    assert r.getheader("x-id") == str(i), i
    assert data == (body if i % 3 else r.getheader("x-pod").encode() + b"\n"), (i, len(data), len(body))
print("ok", n)
