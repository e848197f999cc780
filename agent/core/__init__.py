"""Live objects (Account, Folder, Messages, Message, Draft, Job) and the machinery that serves them."""
