"""Methods that learn by gradient, one file per paper; their contract is that of `jhash.methods`."""
