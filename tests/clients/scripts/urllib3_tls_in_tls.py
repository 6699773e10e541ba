"""urllib3, TLS in TLS: through a CONNECT proxy that is spoken to over TLS."""

import urllib3

from clients.harness import main


# recipe
def get(context, host, port, proxy, retries=None):
    contexts = {"ssl_context": context, "proxy_ssl_context": context}
    with urllib3.ProxyManager(proxy, **contexts, timeout=10, retries=retries) as pool:
        return pool.request("GET", f"https://{host}:{port}/").data


# end
main(get)
