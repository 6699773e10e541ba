"""httpx."""

import httpx

from clients.harness import main


# recipe
def get(context, host, port, proxy=None):
    with httpx.Client(verify=context, proxy=proxy) as client:
        return client.get(f"https://{host}:{port}/").text


# end
main(get)
