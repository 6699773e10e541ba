"""The early verdict: what an impostor learns of a client that has a certificate to show."""
