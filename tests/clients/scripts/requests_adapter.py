"""requests."""

import requests

from clients.harness import main


# recipe
def get(context, host, port, proxy=None, retries=0):
    class Pinned(requests.adapters.HTTPAdapter):
        def build_connection_pool_key_attributes(self, request, verify, cert=None):
            host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
            return host, {"ssl_context": context}

    with requests.Session() as session:
        session.mount("https://", Pinned(max_retries=retries))
        return session.get(f"https://{host}:{port}/", timeout=10, proxies={"https": proxy}).text


# end
main(get)
