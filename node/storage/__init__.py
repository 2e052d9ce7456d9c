"""What the node keeps on disk: the tables, their migrations, and the one writer."""
