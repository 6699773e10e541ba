"""http.client."""

import http.client

from clients.harness import main


# recipe
def get(context, host, port):
    connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
    connection.request("GET", "/")
    return connection.getresponse().read()


# end
main(get)
