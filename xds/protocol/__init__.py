"""xDS streams as values without I/O: requests and change sets in, responses out, and the ledger of ACKs and NACKs."""
