"""One file a method: `get_config(arg)` gives a ConfigDict."""
