"""Small methods that use one hook of the contract each; named by configs as a user's own are."""
