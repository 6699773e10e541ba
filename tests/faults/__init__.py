"""What can go wrong around a handshake, at each of its messages."""
