"""asyncio streams."""

import asyncio

from clients.harness import main


# recipe
async def get(context, host, port):
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


# end
main(lambda *arguments: asyncio.run(get(*arguments)))
