"""websockets, its iterator, which connects again for ever."""

import asyncio
import contextlib

from websockets.asyncio.client import connect

from clients.harness import main


# recipe
async def echo(context, host, port):  # noqa: RET503 - it never ends otherwise
    async for websocket in connect(f"wss://{host}:{port}/", ssl=context):
        await websocket.send("hello")
        return await websocket.recv()


# end
async def for_a_while(*arguments):
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(echo(*arguments), 8)


main(lambda *arguments: asyncio.run(for_a_while(*arguments)))
