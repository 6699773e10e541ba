"""anyio."""

import anyio

from clients.harness import main


# recipe
async def get(context, host, port):
    async with await anyio.connect_tcp(host, port, ssl_context=context) as stream:
        await stream.send(b"GET / HTTP/1.0\r\n\r\n")
        return await stream.receive()


# end
main(lambda *arguments: anyio.run(get, *arguments))
