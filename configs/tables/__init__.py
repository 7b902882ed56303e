"""Tables and figures of the papers, for `python -m jhash sweep`; docs/tables.md explains them."""
