# SPDX-License-Identifier: Apache-2.0
"""aiohttp on asyncio, one thread for all; its client's pool keeps connections."""
import os

from aiohttp import ClientSession, web

UPSTREAM, FORWARD = os.environ["UPSTREAM"], os.environ["FORWARD"]


async def call(request):
    await request.read()
    value = FORWARD and request.headers.get(FORWARD)
    async with request.app["client"].get(f"http://{UPSTREAM}{request.raw_path}", headers={FORWARD: value} if value else {}) as answer:
        return web.Response(body=await answer.read())


async def client(app):
    async with ClientSession() as app["client"]:
        yield


application = web.Application()
application.cleanup_ctx.append(client)
application.router.add_get("/{path:.*}", call)
web.run_app(application, port=int(os.environ["PORT"]), print=None, access_log=None)
