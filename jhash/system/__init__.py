"""Help with the operating system and Python: whole files, imports by name, memory."""

from jhash.system import files, imports, malloc

__all__ = ["files", "imports", "malloc"]
