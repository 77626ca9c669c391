# SPDX-License-Identifier: Apache-2.0
"""http.server, a thread a connection: serve(ask) answers each request with what ask(url, headers) returns, bytes."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM, FORWARD = os.environ["UPSTREAM"], os.environ["FORWARD"]


class Server(ThreadingHTTPServer):
    request_queue_size = 1024


def serve(ask):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            value = FORWARD and self.headers.get(FORWARD)
            body = ask(f"http://{UPSTREAM}{self.path}", {FORWARD: value} if value else {})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    Server(("", int(os.environ["PORT"])), Handler).serve_forever()
