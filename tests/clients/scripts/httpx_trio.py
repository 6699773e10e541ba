"""httpx, trio."""

import httpx
import trio

from clients.harness import main


# recipe
async def get(context, host, port):
    async with httpx.AsyncClient(verify=context) as client:
        response = await client.get(f"https://{host}:{port}/")
        return response.text


# end
main(lambda *arguments: trio.run(get, *arguments))
