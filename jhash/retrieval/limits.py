"""The sizes of codes and of the words that hold them."""

WORD_BITS = 32
MAX_BITS = 512
