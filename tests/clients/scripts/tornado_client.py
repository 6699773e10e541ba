"""tornado."""

import asyncio

from tornado.httpclient import AsyncHTTPClient

from clients.harness import main


# recipe
async def get(context, host, port):
    client = AsyncHTTPClient()
    response = await client.fetch(f"https://{host}:{port}/", ssl_options=context)
    return response.body


# end
main(lambda *arguments: asyncio.run(get(*arguments)))
