"""urllib3, through a CONNECT proxy."""

import urllib3

from clients.harness import main


# recipe
def get(context, host, port, proxy, retries=None):
    with urllib3.ProxyManager(proxy, ssl_context=context, timeout=10, retries=retries) as pool:
        return pool.request("GET", f"https://{host}:{port}/").data


# end
main(get)
