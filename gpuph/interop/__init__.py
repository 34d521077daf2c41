"""The interfaces of other libraries of persistent homology, computed by gpuph.

One module per library, named after it; the library itself is not needed. `docs/migrating.md` says what changes.
"""
