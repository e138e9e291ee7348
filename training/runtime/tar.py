"""`tarfile` with extraction filters (PEP 706), which keep an archive's files in their folder and its links out.

Python has them from 3.11.4 on. For older ones, as Debian 12's, it is the backport.
"""

import sys

if sys.version_info >= (3, 11, 4):
    import tarfile
else:
    from backports import tarfile  # type: ignore[import-not-found, no-redef]

__all__ = ["tarfile"]
