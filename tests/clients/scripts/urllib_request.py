"""urllib.request."""

import urllib.request

from clients.harness import main


# recipe
def get(context, host, port):
    with urllib.request.urlopen(f"https://{host}:{port}/", timeout=10, context=context) as response:
        return response.read()


# end
main(get)
