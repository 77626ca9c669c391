# SPDX-License-Identifier: Apache-2.0
"""An application for gunicorn; urllib3, whose pool keeps connections."""
import os

import urllib3

UPSTREAM, FORWARD = os.environ["UPSTREAM"], os.environ["FORWARD"]
NAME = "HTTP_" + FORWARD.upper().replace("-", "_")
pool = urllib3.PoolManager(maxsize=64)


def app(environ, start_response):
    environ["wsgi.input"].read()
    value = FORWARD and environ.get(NAME)
    answer = pool.request("GET", f"http://{UPSTREAM}{environ['RAW_URI']}", headers={FORWARD: value} if value else {}, timeout=20.0,
                          retries=False)
    start_response("200 OK", [("Content-Length", str(len(answer.data)))])
    return [answer.data]
