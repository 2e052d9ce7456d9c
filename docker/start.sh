#!/bin/sh
# Make the node at the first start, then become it: signals must reach the daemon.
set -eu
if [ ! -f "$SKERRY_HOME/charters" ]; then
    python -m skerry.node init --name "${SKERRY_NAME:-$(uname -n)}"
fi
exec python -m skerry.node serve "$@"
