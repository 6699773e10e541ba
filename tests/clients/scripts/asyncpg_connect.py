"""asyncpg."""

import asyncio

import asyncpg

from clients.harness import main


# recipe
async def ask(context, host, port, user, password):
    connection = await asyncpg.connect(
        host=host, port=port, user=user, password=password, database="postgres", ssl=context
    )
    return await connection.fetchval("SELECT 'hello'")


# end
main(lambda *arguments, **more: asyncio.run(ask(*arguments, **more)))
