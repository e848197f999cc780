"""Mail in files: mbox, Maildir and .eml, read and written. No store, no wire; any thread."""
