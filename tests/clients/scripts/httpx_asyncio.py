"""httpx, asyncio."""

import asyncio

import httpx

from clients.harness import main


# recipe
async def get(context, host, port):
    async with httpx.AsyncClient(verify=context) as client:
        response = await client.get(f"https://{host}:{port}/")
        return response.text


# end
main(lambda *arguments: asyncio.run(get(*arguments)))
