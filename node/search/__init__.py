"""The index of shown cards, their sketches, and the service that answers searches."""
