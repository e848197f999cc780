"""Mail as pure values: no I/O, no threads, no clock."""
