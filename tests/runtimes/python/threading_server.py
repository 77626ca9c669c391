# SPDX-License-Identifier: Apache-2.0
"""http.server, a thread a connection; urllib.request, a connection a call."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

UPSTREAM, FORWARD = os.environ["UPSTREAM"], os.environ["FORWARD"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        value = FORWARD and self.headers.get(FORWARD)
        request = Request(f"http://{UPSTREAM}{self.path}", headers={FORWARD: value} if value else {})
        with urlopen(request, timeout=20) as answer:
            body = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024


Server(("", int(os.environ["PORT"])), Handler).serve_forever()
