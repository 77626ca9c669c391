# SPDX-License-Identifier: Apache-2.0
"""recorder.py PORT POD DIR: keeps every byte of every connection in DIR/POD.N, one file a connection. Interprets next to
nothing: it answers when a head says "X-Answer: now", and at the end of file. Answers name the pod and the case (X-Case)
whose bytes these were."""
import asyncio
import itertools
import re
import resource
import sys

port, pod, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
numbers = itertools.count()


def answer(data, close):
    case = re.findall(rb"case=([0-9a-z-]+);", data)
    return (f"HTTP/1.1 200 OK\r\nX-Pod: {pod}\r\nX-Case: {case[-1].decode() if case else ''}\r\nContent-Length: 3\r\n"
            + ("Connection: close\r\n" if close else "") + "\r\nok\n").encode()


async def serve(reader, writer):
    got, asked = b"", 0
    try:
        with open(f"{folder}/{pod}.{next(numbers)}", "wb", buffering=0) as log:
            while data := await reader.read(65536):
                log.write(data)
                got += data
                while (at := got.find(b"X-Answer: now", asked)) >= 0 and (end := got.find(b"\r\n\r\n", at)) >= 0:
                    asked = end
                    writer.write(answer(got[:end], False))
        if got:
            writer.write(answer(got, True))
        await writer.drain()
        writer.close()
    except OSError:
        pass


async def main():
    server = await asyncio.start_server(serve, None, port, backlog=4096)
    await server.serve_forever()


asyncio.run(main())
