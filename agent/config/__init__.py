"""config.yaml: the values it may have, how it is read, and where the agent's files are."""
