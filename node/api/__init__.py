"""The local API: what programs of this institution may ask of the node."""
