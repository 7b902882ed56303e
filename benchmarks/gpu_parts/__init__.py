"""The parts of `gpu.py`: each is a module whose `rows(quick)` yields what it measures, at once."""
