"""A mail server in the program, with sample mail: to try the agent without account or network."""
