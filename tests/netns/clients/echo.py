# SPDX-License-Identifier: Apache-2.0
"""echo.py PORT: sends "banner" and a newline, then every byte back. One process, any number of clients."""
import asyncio
import sys


async def serve(reader, writer):
    writer.write(b"banner\n")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, None, int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
