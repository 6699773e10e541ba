"""pg8000."""

import pg8000.native

from clients.harness import main


# recipe
def ask(context, host, port, user, password):
    connection = pg8000.native.Connection(
        user, host, port=port, password=password, database="postgres", ssl_context=context
    )
    return connection.run("SELECT 'hello'")


# end
main(ask)
