"""ldap3, TLS at once."""

import ldap3

from clients.harness import main


# recipe
def ask(context, host, port, user, password):
    class Pinned(ldap3.Tls):
        def wrap_socket(self, connection, **_):
            connection.socket = context.wrap_socket(connection.socket, server_hostname=host)

    server = ldap3.Server(host, port, use_ssl=True, tls=Pinned())
    with ldap3.Connection(server, user, password, auto_bind=True) as connection:
        return connection.extend.standard.who_am_i()


# end
main(ask)
