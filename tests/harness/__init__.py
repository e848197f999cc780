"""What the tests stand on: real servers, a proxy that breaks connections, corpora, conditions."""
