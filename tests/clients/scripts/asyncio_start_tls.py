"""asyncio streams, start_tls: POP3 with STLS."""

import asyncio

from clients.harness import main


# recipe
async def ask(context, host, port):
    reader, writer = await asyncio.open_connection(host, port)
    await reader.readline()
    writer.write(b"STLS\r\n")
    await reader.readline()
    await writer.start_tls(context, server_hostname=host)
    writer.write(b"CAPA\r\n")
    return await reader.readline()


# end
main(lambda *arguments: asyncio.run(ask(*arguments)))
