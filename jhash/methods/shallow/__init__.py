"""Hash functions fitted to features; each file has `fit` and `encode`, as in `jhash.methods`."""
