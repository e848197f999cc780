"""A mail client whose console is a Python REPL."""

__version__ = "0.1.0"
