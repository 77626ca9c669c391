# SPDX-License-Identifier: Apache-2.0
"""middle.py LISTEN_PORT API_URL CA CERT KEY CONTROL: a TLS middlebox before an API server that does harm to watches.

It passes every request on, and answers as they come. The file CONTROL says what happens to the bodies of watches that
are open or opened: "pass", "cut" (each is cut in the middle of its next event), "garbage" (its next event is followed by
bytes that are no JSON), "slow" (a byte at a time). Prints a line for each harm done.
"""
import http.client
import http.server
import socketserver
import ssl
import sys
import time
import urllib.parse

port, api, ca, cert, key, control = sys.argv[1:]
target = urllib.parse.urlsplit(api)
trust = ssl.create_default_context(cafile=ca)


def mode():
    with open(control, encoding="ascii") as f:
        return f.read().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_GET(self):
        up = http.client.HTTPSConnection(target.hostname, target.port, context=trust)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        up.request("GET", self.path, headers=headers)
        answer = up.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        watch = "watch=1" in self.path
        while True:
            data = answer.read1(65536)
            if not data:
                break
            harm = mode() if watch else "pass"
            if harm == "cut":
                self.chunk(data[: len(data) // 2])
                print("cut", self.path, flush=True)
                self.close_connection = True
                self.connection.close()
                return
            if harm == "garbage":
                self.chunk(data + b"<html>bad gateway</html>\n")
                print("garbage", self.path, flush=True)
                continue
            if harm == "slow":
                for i in range(0, len(data), 16):
                    self.chunk(data[i : i + 16])
                    time.sleep(0.001)
                print("slow", self.path, flush=True)
                continue
            self.chunk(data)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", int(port)), Handler)
mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
mine.load_cert_chain(cert, key)
server.socket = mine.wrap_socket(server.socket, server_side=True)
server.serve_forever()
