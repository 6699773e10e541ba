"""PyMySQL."""

import pymysql

from clients.harness import main


# recipe
def ask(context, host, port, user, password):
    connection = pymysql.connect(host=host, port=port, user=user, password=password, ssl=context)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'hello'")
        return cursor.fetchone()


# end
main(ask)
