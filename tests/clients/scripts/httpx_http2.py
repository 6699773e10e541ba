"""httpx, HTTP/2."""

import httpx

from clients.harness import main


# recipe
def get(context, host, port):
    with httpx.Client(verify=context, http2=True) as client:
        response = client.get(f"https://{host}:{port}/")
        assert response.http_version == "HTTP/2"
        return response.text


# end
main(get)
