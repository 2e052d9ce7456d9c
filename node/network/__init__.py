"""Connections with other nodes: listening, TLS, the gossip transport, and a tap for tests and the demo."""
