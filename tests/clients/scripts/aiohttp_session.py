"""aiohttp."""

import asyncio

import aiohttp

from clients.harness import main


# recipe
async def get(context, host, port, proxy=None):
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        response = await session.get(f"https://{host}:{port}/", proxy=proxy)
        return await response.text()


# end
main(lambda *arguments, **named: asyncio.run(get(*arguments, **named)))
