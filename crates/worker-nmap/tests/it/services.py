"""Services of the far host: TCP 22 and 8025 greet, UDP 7 echoes."""

import selectors
import socket

GREETINGS = {22: b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 8025: b"220 mx.lab ESMTP Postfix\r\n"}

selector = selectors.DefaultSelector()
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("0.0.0.0", 7))
selector.register(echo, selectors.EVENT_READ)
for port, greeting in GREETINGS.items():
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    selector.register(server, selectors.EVENT_READ, greeting)
while True:
    for key, _ in selector.select():
        try:
            if key.data is None:
                data, sender = echo.recvfrom(2048)
                echo.sendto(data, sender)
            else:
                connection, _ = key.fileobj.accept()
                connection.sendall(key.data)
                connection.close()
        except OSError:
            pass
