"""Scripts for the reference engine: they run in its environment, in processes of their own."""
