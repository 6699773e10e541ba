"""gevent, patched in."""

from gevent import monkey

monkey.patch_all()

import http.client  # noqa: E402 - what is patched has to be so first

from clients.harness import main  # noqa: E402 - as above


# recipe
def get(context, host, port):
    connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
    connection.request("GET", "/")
    return connection.getresponse().read()


# end
main(get)
