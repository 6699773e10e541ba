"""websockets, threads."""

from websockets.sync.client import connect

from clients.harness import main


# recipe
def echo(context, host, port):
    with connect(f"wss://{host}:{port}/", ssl=context) as websocket:
        websocket.send("hello")
        return websocket.recv()


# end
main(echo)
