"""Configs of methods with which the papers compare their own."""
