"""websocket-client."""

import websocket

from clients.harness import main


# recipe
def echo(context, host, port):
    sslopt = {"context": context}
    connection = websocket.create_connection(f"wss://{host}:{port}/", timeout=10, sslopt=sslopt)
    connection.send("hello")
    return connection.recv()


# end
main(echo)
