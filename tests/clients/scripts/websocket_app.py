"""websocket-client, WebSocketApp."""

import websocket

from clients.harness import main


# recipe
def echo(context, host, port):
    heard = []
    app = websocket.WebSocketApp(f"wss://{host}:{port}/")
    app.on_open = lambda app: app.send("hello")
    app.on_message = lambda app, message: (heard.append(message), app.close())
    app.run_forever(sslopt={"context": context})
    return heard


# end
main(echo)
