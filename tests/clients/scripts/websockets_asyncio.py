"""websockets, asyncio."""

import asyncio

from websockets.asyncio.client import connect

from clients.harness import main


# recipe
async def echo(context, host, port):
    async with connect(f"wss://{host}:{port}/", ssl=context) as websocket:
        await websocket.send("hello")
        return await websocket.recv()


# end
main(lambda *arguments: asyncio.run(echo(*arguments)))
