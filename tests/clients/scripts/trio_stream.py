"""trio."""

import trio

from clients.harness import main


# recipe
async def get(context, host, port):
    async with await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context) as stream:
        await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        return await stream.receive_some()


# end
main(lambda *arguments: trio.run(get, *arguments))
