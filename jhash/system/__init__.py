"""Help with the operating system and Python: whole files, imports by name, memory, text."""

from jhash.system import (
    archives,
    faults,
    files,
    imports,
    interrupts,
    lazy,
    malloc,
    mapped,
    memory,
    npy,
    npy_header,
    reading,
    text,
)

__all__ = [
    "archives",
    "faults",
    "files",
    "imports",
    "interrupts",
    "lazy",
    "malloc",
    "mapped",
    "memory",
    "npy",
    "npy_header",
    "reading",
    "text",
]
