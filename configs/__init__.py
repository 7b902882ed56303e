"""Configs, one file per method, each with `get_config(argument)`; docs/configs.md explains them."""
