"""The soak: the agent killed, and its line cut, at every step of what it does; it must come out the same."""
