"""What jhash needs of the operating system and of Python: files, names of modules, memory."""

from jhash.system import files, imports, malloc

__all__ = ["files", "imports", "malloc"]
