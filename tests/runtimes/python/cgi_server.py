# SPDX-License-Identifier: Apache-2.0
"""http.server, a thread a connection; for each request a shell that runs curl, as a CGI script would."""
import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UPSTREAM, FORWARD = os.environ["UPSTREAM"], os.environ["FORWARD"]
# not its last command, or the shell would become it
SCRIPT = 'curl -sS --max-time 20 ${2:+-H "$2"} "$1"; exit'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        value = FORWARD and self.headers.get(FORWARD)
        args = [f"http://{UPSTREAM}{self.path}"] + ([f"{FORWARD}: {value}"] if value else [])
        body = subprocess.run(["sh", "-c", SCRIPT, "script", *args], stdout=subprocess.PIPE, check=True).stdout
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024


Server(("", int(os.environ["PORT"])), Handler).serve_forever()
