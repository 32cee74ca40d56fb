"""Why is this language model as slow as it is, here, and what would make it faster?

The rooms and the direction of imports are drawn in docs/architecture.md.
"""

__version__ = "0.1.0"
