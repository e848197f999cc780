"""Measures the agent against its peers on one mailbox: `scripts/bench --help`."""
