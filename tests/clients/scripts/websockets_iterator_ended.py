"""websockets, its iterator, which a refusal ends."""

import asyncio

from websockets.asyncio.client import connect, process_exception

import pinsock
from clients.harness import main


# recipe
def last(error):
    return error if isinstance(error, pinsock.PinMismatchError) else process_exception(error)


async def echo(context, host, port):  # noqa: RET503 - it never ends otherwise
    url = f"wss://{host}:{port}/"
    async for websocket in connect(url, ssl=context, process_exception=last):
        await websocket.send("hello")
        return await websocket.recv()


# end
main(lambda *arguments: asyncio.run(echo(*arguments)))
