"""xmlrpc.client."""

import xmlrpc.client

from clients.harness import main


# recipe
def hello(context, host, port):
    with xmlrpc.client.ServerProxy(f"https://{host}:{port}/", context=context) as server:
        return server.hello()


# end
main(hello)
