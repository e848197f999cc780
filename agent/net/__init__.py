"""The wire: everything that opens a socket or runs a program to move mail."""
